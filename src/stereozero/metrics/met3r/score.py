"""MEt3R's score of a pair of views: features of one view, brought to the other by known geometry, compared there.

Arithmetic as in the released met3r 1.0.1 (MIT), with three differences, each of which a docstring names: an empty
overlap is NaN rather than 0, a batch's items never mix, and both directions can be had.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from stereozero.metrics.met3r.geometry import PairGeometry, PairPoints
from stereozero.metrics.met3r.matching import PairMatch, PairMatching
from stereozero.metrics.met3r.raft import sample_at_flow
from stereozero.metrics.met3r.rendering import Raster, composite, project, rasterise
from stereozero.metrics.met3r.upsampling import Upsampler

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, of images in [0, 1]
_EPS = 1e-5
_LEAST_CONFIDENCE = 0.999  # taken off before confidences weigh points; they are at least 1


class PairScore(NamedTuple):
    """How far two views are from showing one scene, for each pair of a batch."""

    score: Tensor  # (B,), 0 is consistent, cosine: up to 2; NaN where nothing overlaps
    overlap: Tensor  # (B,), share of the pixels that are compared
    errors: Tensor  # (B, H, W), the distance at every pixel, compared or not
    mask: Tensor  # (B, H, W), bool, what is compared


@dataclass(frozen=True)
class RasterSettings:
    """How the points of a :class:`PairGeometry` are rendered.

    Args:
        side: of the square image [px]; None takes the size of the views.
        radius: of a point [NDC].
        points_per_pixel: nearest points that a pixel blends.
    """

    side: int | None = 256
    radius: float = 0.01
    points_per_pixel: int = 10

    def raster(self, height: int, width: int) -> Raster:
        """Return what is rendered for views of height x width."""
        size = (height, width) if self.side is None else (self.side, self.side)
        return Raster(*size, self.radius, self.points_per_pixel)


def cosine_distance(first: Tensor, second: Tensor) -> Tensor:
    """Return 1 - cosine over channels of (B, C, H, W): (B, H, W)."""
    product = (first * second).sum(dim=1)
    return 1 - product / (first.norm(dim=1) * second.norm(dim=1) + _EPS)


def mean_squared_error(first: Tensor, second: Tensor) -> Tensor:
    """Return the mean squared difference over channels of (B, C, H, W): (B, H, W)."""
    return (first - second).square().mean(dim=1)


def root_mean_squared_error(first: Tensor, second: Tensor) -> Tensor:
    """Return the root of the mean squared difference over channels of (B, C, H, W): (B, H, W)."""
    return mean_squared_error(first, second).sqrt()


def peak_ratio(first: Tensor, second: Tensor) -> Tensor:
    """Return what the release calls psnr: 20 log10(255 / mean absolute difference) of (B, C, H, W): (B, H, W).

    Not the usual PSNR: the peak is 255 although images reach from 0 to 1, and the difference is not squared.
    """
    return 20 * torch.log10(255 / ((first - second).abs().mean(dim=1) + _EPS))


def normalise(images: Tensor) -> Tensor:
    """Return images (B, 3, H, W) in [0, 1] with ImageNet's mean and standard deviation taken out."""
    mean, std = (images.new_tensor(values)[:, None, None] for values in (_MEAN, _STD))  # (3, 1, 1) each
    return (images - mean) / std


@dataclass(frozen=True)
class Met3r:
    """The score with its networks.

    Args:
        geometry: what is known of how the views relate: points or correspondences.
        features: images (B, 3, H, W), normalised as for ImageNet, to features (B, C, h, w).
        upsample: of the features, to the images' size.
        rendering: of points; correspondences need none.
        distance: what is summed over pixels. The cosine compares features, any other one the images themselves.
    """

    geometry: PairGeometry | PairMatching
    features: Callable[[Tensor], Tensor]
    upsample: Upsampler
    rendering: RasterSettings = field(default_factory=RasterSettings)
    distance: Callable[[Tensor, Tensor], Tensor] = cosine_distance

    @torch.no_grad()
    def one_way(self, images: Tensor) -> PairScore:
        """Score view 2 as seen from view 1: the direction that the released code computes.

        Args:
            images: (B, 2, 3, H, W) in [-1, 1].
        """
        views = self.describe(images)  # (B, 2, C, H, W)
        if isinstance(self.geometry, PairMatching):
            return self._compare_matched(views, self.geometry.match(images))
        return self._compare_points(views, self.geometry.predict_pair(images))

    @torch.no_grad()
    def both_ways(self, images: Tensor) -> tuple[PairScore, PairScore]:
        """Score view 2 as seen from view 1, and view 1 as seen from view 2; the paper's MEt3R is their mean.

        Args:
            images: (B, 2, 3, H, W) in [-1, 1]. Features are computed once.
        """
        views = self.describe(images)  # (B, 2, C, H, W)
        if isinstance(self.geometry, PairMatching):
            ways, compare = self.geometry.match_both_ways(images), self._compare_matched
        else:
            ways, compare = self.geometry.predict_both_ways(images), self._compare_points
        return compare(views, ways[0]), compare(views.flip(1), ways[1])

    def describe(self, images: Tensor) -> Tensor:
        """Return what is compared of (B, 2, 3, H, W) in [-1, 1], a description a pixel: (B, 2, C, H, W)."""
        if self.distance is not cosine_distance:
            # Released: correspondences compare images in [-1, 1], rendered points in [0, 1].
            return images if isinstance(self.geometry, PairMatching) else (images + 1) / 2
        unit = (images.flatten(0, 1) + 1) / 2  # (2 B, 3, H, W)
        coarse = self.features(normalise(unit))  # (2 B, C, h, w)
        return self.upsample(coarse, unit).unflatten(0, images.shape[:2])

    def _compare_points(self, views: Tensor, pair: PairPoints) -> PairScore:
        raster = self.rendering.raster(*views.shape[-2:])
        focal = camera_focal(pair).repeat_interleave(2, dim=0)  # (2 B, 2)
        points = torch.stack([view.points for view in pair], dim=1).flatten(0, 1).flatten(1, 2)  # (2 B, P, 3)
        described = views.flatten(0, 1).flatten(2).transpose(1, 2)  # (2 B, P, C)
        fragments = rasterise(project(points, focal), raster)
        image = composite(fragments, described, raster.radius)  # (2 B, C, H', W')
        covered = fragments.index[..., 0] >= 0  # (2 B, H', W')
        image = torch.where(covered[:, None], image, 0.0).unflatten(0, views.shape[:2])  # (B, 2, C, H', W')
        return self._average(image[:, 0], image[:, 1], covered.unflatten(0, views.shape[:2]).all(dim=1))

    def _compare_matched(self, views: Tensor, match: PairMatch) -> PairScore:
        moved, _ = sample_at_flow(views[:, 1], match.flow)  # (B, C, H, W)
        return self._average(views[:, 0], moved, match.visible)

    def _average(self, first: Tensor, second: Tensor, mask: Tensor) -> PairScore:
        """Average the distance over the mask, for each item.

        The released code averages flow's scores over the whole batch, which makes an item's score depend on the
        others; here it never does.
        """
        errors = self.distance(first, second)  # (B, H, W)
        counted = mask.sum(dim=(1, 2))  # (B,)
        score = (errors * mask).sum(dim=(1, 2)) / (counted + _EPS)  # (B,)
        score = torch.where(counted > 0, score, torch.nan)
        return PairScore(score, mask.float().mean(dim=(1, 2)), errors, mask)


def camera_focal(pair: PairPoints) -> Tensor:
    """Return the focal lengths of the camera that renders the points: (B, 2), of x and y [NDC].

    As released: every pixel of the mean point map votes, the median wins, and 1 + f / side is taken. (2 f / shorter
    side would be right; both agree where f is the side of a square image.)
    """
    points = canonical_points(pair)  # (B, H, W, 3)
    height, width = points.shape[1:3]
    columns = torch.arange(width, device=points.device) - width / 2  # (W,)
    rows = (torch.arange(height, device=points.device) - height / 2)[:, None]  # (H, 1)
    x, y, z = points.unbind(-1)  # (B, H, W) each
    votes = [(columns * z / x).flatten(1), (rows * z / y).flatten(1)]  # (B, P) each; 0 / 0 does not vote
    focal = torch.stack([vote.nanmedian(dim=1).values for vote in votes], dim=1)  # (B, 2) [px]
    return 1 + focal / focal.new_tensor([width, height])


def canonical_points(pair: PairPoints) -> Tensor:
    """Return the mean of both views' point maps, weighted by confidence, pixel by pixel: (B, H, W, 3)."""
    weights = [(view.confidence - _LEAST_CONFIDENCE)[..., None] for view in pair]  # (B, H, W, 1) each
    total = sum(weight * view.points for weight, view in zip(weights, pair, strict=True))  # (B, H, W, 3)
    return total / sum(weights)
