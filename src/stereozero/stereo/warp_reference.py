"""Two slow definitions of the whole-cell warp, to compare :mod:`stereozero.stereo.warp` with (paper, Table 5).

Both follow the released code's behaviour: the shift disparity * strength / 100 * width is computed in float32 and
truncated toward zero; destinations outside the row are dropped; where sources collide, the one that is moved
furthest wins; cells that get nothing are 0. Neither checks its arguments.
"""

import torch
from torch import Tensor


def loop_warp(image: Tensor, disparity: Tensor, strength: float) -> Tensor:
    """Warp pixel by pixel (paper, Eq. 7): the definition that everything else must be equal to.

    Args:
        image: (N, C, H, W), any dtype.
        disparity: (N, H, W) in [0, 1].
        strength: percent of the width; above 0 moves content to the left.

    Returns:
        (N, C, H, W), the image's dtype.
    """
    n, _, height, width = image.shape
    offset = _offset(disparity, strength)  # (N, H, W)
    # The last one written wins, so the order puts the source that is moved furthest last.
    order = range(width) if strength > 0 else range(width - 1, -1, -1)
    warped = torch.zeros_like(image)
    for k in range(n):
        for y in range(height):
            for x in order:
                target = x + int(offset[k, y, x])
                if 0 <= target < width:
                    warped[k, :, y, target] = image[k, :, y, x]
    return warped


def unique_warp(image: Tensor, disparity: Tensor, strength: float) -> Tensor:
    """Warp by list operations, as the paper vectorises it (Eqs. 10 and 11).

    All sources are listed with their flattened destination, the list is put in the order of precedence, and for each
    distinct destination (``torch.unique``, which sorts) the first source is kept.

    Args:
        image: (N, C, H, W), any dtype.
        disparity: (N, H, W) in [0, 1].
        strength: percent of the width; above 0 moves content to the left.

    Returns:
        (N, C, H, W), the image's dtype.
    """
    n, channels, height, width = image.shape
    columns = torch.arange(width, device=image.device)  # (W,)
    row_starts = width * torch.arange(n * height, device=image.device).view(n, height, 1)  # (N, H, 1)
    target = columns + _offset(disparity, strength).to(torch.int64)  # (N, H, W)
    inside = (target >= 0) & (target < width)  # (N, H, W)
    targets = (row_starts + target)[inside]  # (K,)
    sources = (row_starts + columns)[inside]  # (K,)
    if strength > 0:
        targets, sources = targets.flip(0), sources.flip(0)  # (K,), (K,)
    written, first = _first_of_each(targets)  # (U,), (U,)
    cells = image.transpose(0, 1).reshape(channels, -1)  # (C, N * H * W)
    warped = torch.zeros_like(cells)
    warped[:, written] = cells[:, sources[first]]
    return warped.view(channels, n, height, width).transpose(0, 1)


def _offset(disparity: Tensor, strength: float) -> Tensor:
    """Return the signed movement of each source in cells, truncated toward zero: (N, H, W) float32."""
    return (disparity.float() * -(strength / 100 * disparity.shape[-1])).trunc()


def _first_of_each(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return the distinct values (U,), sorted, and the index of each one's first occurrence (U,)."""
    distinct, which = torch.unique(values, return_inverse=True)  # (U,), (K,)
    first = torch.full_like(distinct, len(values))
    first.scatter_reduce_(0, which, torch.arange(len(values), device=values.device), "amin")
    return distinct, first
