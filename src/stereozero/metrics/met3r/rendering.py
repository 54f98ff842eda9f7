"""Rendering of point clouds with features, in plain torch, as PyTorch3D's points rasteriser and compositor do it.

Each point is a disc of one radius in normalised device coordinates; each pixel keeps its nearest points and blends
them front to back. Behaviour was learned from facebookresearch/pytorch3d (BSD); goldens come from its own kernels.
All points that reach a pixel are listed and sorted once, by pixel and depth; there is no loop over pixels or points.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as nnf
from torch import Tensor

BACKGROUND = -10000.0


@dataclass(frozen=True)
class Raster:
    """What is rendered.

    Args:
        height, width: of the image [px].
        radius: of a point [normalised device coordinates, the shorter side is 2].
        points_per_pixel: nearest points that a pixel keeps.
    """

    height: int
    width: int
    radius: float = 0.01
    points_per_pixel: int = 10


@dataclass(frozen=True, eq=False)
class Fragments:
    """The nearest points of each pixel, near to far; K points a pixel.

    Args:
        index: (B, H, W, K) int64, into the points of all clouds one after another; -1 where there is none.
        depth: (B, H, W, K) float32, -1 where there is none.
        distance: (B, H, W, K) float32, squared distance from pixel centre to point [NDC squared]; -1 for none.
    """

    index: Tensor
    depth: Tensor
    distance: Tensor


def project(points: Tensor, focal: Tensor) -> Tensor:
    """Project points as PyTorch3D's camera with R = diag(-1, -1, 1) does: x to the left and y up.

    Args:
        points: (B, P, 3), x to the right, y down, z ahead of the camera.
        focal: (B, 2), of x and y [NDC].

    Returns:
        (B, P, 3): x and y in NDC, and z as it was.
    """
    depth = points[..., 2:]  # (B, P, 1)
    return torch.cat([-points[..., :2] * focal[:, None] / depth, depth], dim=-1)


def rasterise(projected: Tensor, raster: Raster) -> Fragments:
    """Find the nearest points of each pixel.

    A point counts where it is not behind the camera and nearer than the radius to the pixel's centre. Of equally deep
    points the first comes first.

    Args:
        projected: (B, P, 3) float32 as `project` returns it; what is not finite is left out.
        raster: what is rendered.
    """
    pixel, point, distance = _hits(projected, raster)  # (N,) each, points in order
    depth = projected.flatten(0, 1)[point, 2] + 0.0  # (N,); -0 would sort as negative
    # Depths are not negative, so their bits sort like their values.
    key = (pixel << 32) | depth.view(torch.int32).long()  # (N,)
    order = torch.argsort(key, stable=True)  # (N,)
    pixel, point, depth, distance = pixel[order], point[order], depth[order], distance[order]
    rank = _rank(pixel)  # (N,)
    kept = rank < raster.points_per_pixel
    shape = (len(projected), raster.height, raster.width, raster.points_per_pixel)
    slot = pixel[kept] * raster.points_per_pixel + rank[kept]  # (n,)
    return Fragments(*(_fill(shape, slot, values[kept]) for values in (point, depth, distance)))


def composite(fragments: Fragments, features: Tensor, radius: float) -> Tensor:
    """Blend the features of each pixel's points, front to back, each with opacity 1 - d²/r².

    Args:
        fragments: which points.
        features: (B, P, C).
        radius: of a point [NDC].

    Returns:
        (B, C, H, W); BACKGROUND where there is no point. Weights are not normalised: a pixel with distant points alone
        is dimmed.
    """
    hit = fragments.index >= 0  # (B, H, W, K)
    opacity = torch.where(hit, 1 - fragments.distance / radius**2, 0.0)  # (B, H, W, K)
    behind = nnf.pad(torch.cumprod(1 - opacity, dim=-1)[..., :-1], (1, 0), value=1.0)  # (B, H, W, K)
    weights = opacity * behind  # (B, H, W, K)
    blended = nnf.embedding_bag(
        fragments.index.clamp(min=0).flatten(0, 2),
        features.flatten(0, 1),
        per_sample_weights=weights.flatten(0, 2),
        mode="sum",
    )  # (B * H * W, C)
    image = blended.unflatten(0, hit.shape[:3])  # (B, H, W, C)
    return torch.where(hit[..., :1], image, BACKGROUND).permute(0, 3, 1, 2)


def _hits(projected: Tensor, raster: Raster) -> tuple[Tensor, Tensor, Tensor]:
    """List every pixel within reach of every point: pixel, point and squared distance, (N,) each.

    Points stand in order; both numbers run over all clouds.
    """
    height, width, shorter = raster.height, raster.width, min(raster.height, raster.width)
    flat = projected.flatten(0, 1)  # (B * P, 3)
    usable = torch.nonzero(flat.isfinite().all(dim=1) & (flat[:, 2] >= 0))[:, 0]  # (U,)
    x, y = flat[usable, :2].unbind(1)  # (U,) each
    reach = raster.radius * shorter / 2  # px
    # Column j has its centre at (width - 1 - 2 j) / shorter.
    first_column = _first_within((width - 1 - x * shorter) / 2, reach, width)  # (U,)
    first_row = _first_within((height - 1 - y * shorter) / 2, reach, height)  # (U,)
    window = torch.arange(int(2 * reach) + 2, device=flat.device)  # one more than can be within reach
    columns, rows = first_column[:, None] + window, first_row[:, None] + window  # (U, w) each
    across = _centres(columns, width, shorter) - x[:, None]  # (U, w)
    down = _centres(rows, height, shorter) - y[:, None]  # (U, w)
    squared = across[:, None, :] ** 2 + down[:, :, None] ** 2  # (U, w, w)
    inside = _within(rows, height)[:, :, None] & _within(columns, width)[:, None, :]  # (U, w, w)
    which, row, column = torch.nonzero(inside & (squared < raster.radius**2), as_tuple=True)  # (N,) each
    point = usable[which]  # (N,)
    pixel = (point // projected.shape[1] * height + rows[which, row]) * width + columns[which, column]
    return pixel, point, squared[which, row, column]


def _first_within(centre: Tensor, reach: float, length: int) -> Tensor:
    # Points far outside are moved to where they still touch nothing, so that they fit an integer.
    return torch.ceil(centre.clamp(-4 * reach - 4, length + 4 * reach + 4) - reach - 1e-3).long()


def _centres(index: Tensor, length: int, shorter: int) -> Tensor:
    return ((length - 1 - 2 * index).double() / shorter).float()


def _within(index: Tensor, length: int) -> Tensor:
    return (index >= 0) & (index < length)


def _rank(sorted_values: Tensor) -> Tensor:
    """Place of each entry among its equals in a sorted (N,) tensor, from 0."""
    position = torch.arange(len(sorted_values), device=sorted_values.device)
    differs = torch.diff(sorted_values, prepend=sorted_values[:1] - 1) != 0  # (N,), the first of its equals
    return position - torch.cummax(position * differs, dim=0).values


def _fill(shape: tuple[int, ...], slots: Tensor, values: Tensor) -> Tensor:
    filled = torch.full((shape[0] * shape[1] * shape[2] * shape[3],), -1, dtype=values.dtype, device=values.device)
    filled[slots] = values
    return filled.view(shape)
