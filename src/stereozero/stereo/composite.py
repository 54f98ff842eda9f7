"""Compositing: what the source shows is taken from its warped pixels, only the rest from the generated target."""

import torch
from torch import Tensor
from torch.nn import functional


def composite(generated: Tensor, warped: Tensor, blank: Tensor, seam: int) -> Tensor:
    """Lay generated content into the holes of a warped view.

    Args:
        generated: (F, 3, H, W) RGB.
        warped: (F, 3, H, W) RGB, the holes filled somehow: where the seam is soft, a little of that filling shows.
        blank: (F, H, W) bool, the holes.
        seam: pixels around a hole over which generated content fades out.

    Returns:
        (F, 3, H, W): generated where blank, warped beyond the seam, blended between.
    """
    share = soft_mask(blank, seam).unsqueeze(1)  # (F, 1, H, W)
    return torch.lerp(warped, generated, share)


def soft_mask(blank: Tensor, seam: int) -> Tensor:
    """Return (F, H, W): 1 where blank, falling linearly to 0 over ``seam`` pixels around it (chessboard distance)."""
    mask = blank.float().unsqueeze(1)  # (F, 1, H, W)
    total = mask
    for _ in range(seam):
        mask = functional.max_pool2d(mask, 3, stride=1, padding=1)
        total = total + mask
    return (total / (seam + 1)).squeeze(1)
