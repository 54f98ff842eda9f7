"""Long clips in overlapping windows, as DepthCrafter does it."""

from collections.abc import Sequence

import torch
from torch import Tensor

from stereozero.errors import InputError


def windows(frames: int, window: int, overlap: int) -> Sequence[slice]:
    """Return the frames of each window; all but the last have ``window`` frames, neighbours share ``overlap``.

    A clip that fits into one window gets one. The last window of several has at least ``overlap + 1`` frames.
    """
    if frames <= window:
        return [slice(0, frames)]
    starts = range(0, frames - overlap, window - overlap)
    return [slice(start, min(start + window, frames)) for start in starts]


def check_windows(window: int, overlap: int) -> None:
    """Raise InputError unless windows of this length can overlap by so many frames."""
    if window < 1 or not 0 <= overlap < window:
        raise InputError(
            f"window {window}, overlap {overlap} [frames]: a window of at least 1 and an overlap from 0 to one less "
            "than the window are right"
        )


def join(before: Tensor, after: Tensor, overlap: int) -> Tensor:
    """Append a window's frames (N, ...) to those before (M, ...), cross-fading the shared ones linearly.

    The first of the shared frames is that of ``before`` alone, the last that of ``after``.

    Returns:
        (M + N - overlap, ...).
    """
    if overlap == 0:
        return torch.cat([before, after])
    weights = torch.linspace(0, 1, overlap).to(before).view(-1, *[1] * (before.ndim - 1))  # (overlap, 1, ...)
    shared = torch.lerp(before[-overlap:], after[:overlap], weights)  # (overlap, ...)
    return torch.cat([before[:-overlap], shared, after[overlap:]])


def rotate_noise(noise: Tensor, overlap: int) -> Tensor:
    """Return the next window's noise (N, ...): the last ``overlap`` frames of this one's, then the others."""
    return noise.roll(overlap, dims=0)
