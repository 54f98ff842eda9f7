"""Border handling (paper, Eq. 3): columns at the image's edge that the source never shows are taken from the source.

Such columns would otherwise grow a content of their own, different from the source's beside them.
"""

import torch
from torch import Tensor


def border_columns(blank: Tensor, strength: float, frames: int | None = None) -> Tensor:
    """Mark the edge columns that no clip content reaches.

    A column counts if in every row fewer than ``frames`` frames have content there. The consecutive columns from the
    edge are taken that the target loses: the right edge for a right target, else the left. If all columns count, there
    is no border (reference behaviour).

    Args:
        blank: (F, h, w) bool, True where no source sample lands.
        strength: sign as everywhere; > 0 is a right target.
        frames: None for the clip's own number of frames. The released code has 16, whatever the clip's length.

    Returns:
        (w,) bool.
    """
    valid = (~blank).sum(dim=0)  # (h, w) frames
    counts = (valid < (len(blank) if frames is None else frames)).all(dim=0)  # (w,)
    if counts.all():
        return torch.zeros_like(counts)
    from_edge = counts.flip(0) if strength > 0 else counts  # (w,)
    border = from_edge.int().cumprod(dim=0).bool()  # (w,)
    return border.flip(0) if strength > 0 else border


def clean_border(filling: Tensor, source: Tensor, border: Tensor, weight: float) -> Tensor:
    """Blend the source into a filling's border columns (Eq. 3; the paper replaces them, the released code takes 0.9).

    Args:
        filling, source: (C, F, h, w) latents at one noise level.
        border: (w,) bool from :func:`border_columns`.
        weight: share of the source.

    Returns:
        (C, F, h, w)
    """
    return torch.where(border, weight * source + (1 - weight) * filling, filling)
