"""Long clips in windows of 32 frames, and how their depths become one.

Every window but the first begins with two keyframes that the stitched depth knows already: the clip's first frame and
one 12 frames before the overlap ends. On these its scale and shift are found. The next 8 frames overlap with the window
before and are cross-faded, the last 22 are new. (The official code carries inputs from window to window; written
out, they are just these frames.)
"""

from collections.abc import Sequence

import torch
from torch import Tensor

WINDOW = 32
NEW = 22  # frames that each window adds
_KEYFRAMES = 2
_FADED = 8
_BACK = 10  # the second keyframe lies so many frames before the window's own first frame


def window_frames(frames: int) -> list[list[int]]:
    """Return the indices of the frames of each window; beyond the clip's end its last frame is repeated.

    Args:
        frames: of the clip, at least 1.

    Returns:
        One list of 32 indices a window. The first window begins with frame 0.
    """
    windows = [list(range(WINDOW))]
    windows += [[0, start - _BACK, *range(start + _KEYFRAMES, start + WINDOW)] for start in range(NEW, frames, NEW)]
    return [[min(index, frames - 1) for index in window] for window in windows]


def stitch(depths: Sequence[Tensor], frames: int) -> Tensor:
    """Join the windows' relative depths.

    Args:
        depths: (32, H, W) for each window of :func:`window_frames`, not negative.
        frames: of the clip.

    Returns:
        (frames, H, W) in the first window's scale and shift, not negative.
    """
    joined = list(depths[0])  # (H, W) each
    for number, depth in enumerate(depths[1:], 1):
        known = torch.stack([joined[0], joined[number * NEW - _BACK]])  # (2, H, W)
        scale, shift = fit_scale_shift(depth[:_KEYFRAMES], known)
        aligned = (depth[_KEYFRAMES:] * scale + shift).clamp_min(0)  # (30, H, W)
        joined[-_FADED:] = _cross_fade(torch.stack(joined[-_FADED:]), aligned[:_FADED])
        joined += aligned[_FADED:]
    return torch.stack(joined[:frames])


def fit_scale_shift(values: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return the scale and shift that bring ``values`` closest to ``target``, in the least-squares sense.

    Computed in float64 around the means; the official code's float32 normal equations lose digits.

    Args:
        values, target: any shape, the same.

    Returns:
        Two float32 scalars; 1 and 0 if all values are the same.
    """
    values, target = values.double(), target.double()
    centred = values - values.mean()
    variance = centred.square().mean()
    if variance <= torch.finfo(torch.float32).eps ** 2 * values.square().mean():
        return torch.tensor(1.0), torch.tensor(0.0)
    scale = (centred * (target - target.mean())).mean() / variance
    return scale.float(), (target.mean() - scale * values.mean()).float()


def _cross_fade(before: Tensor, after: Tensor) -> Tensor:
    """Blend overlapping frames (8, H, W): the first is that of ``before`` alone, the last that of ``after``."""
    weights = torch.linspace(0, 1, _FADED).reshape(-1, 1, 1)  # (8, 1, 1)
    return torch.lerp(before, after, weights)
