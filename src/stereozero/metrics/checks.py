"""Checks of the arrays that metrics get. Each says what is wrong, in which argument, and what would be right."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from stereozero.errors import InputError

Side = Literal["left", "right"]


def check_video(video: np.ndarray, name: str, smallest_side: int = 1) -> None:
    """Check that `video` is uint8 RGB (F, H, W, 3) with at least one frame and `smallest_side` pixels a side.

    Raises:
        InputError: It is not.
    """
    if not isinstance(video, np.ndarray) or video.dtype != np.uint8:
        kind = video.dtype if isinstance(video, np.ndarray) else type(video).__name__
        raise InputError(f"{name}: values are {kind}; a video is a NumPy array of uint8 levels from 0 to 255")
    if video.ndim != 4 or video.shape[3] != 3:
        raise InputError(f"{name}: shape is {video.shape}; a video is (frames, height, width, 3) in RGB")
    frames, height, width, _ = video.shape
    if frames == 0:
        raise InputError(f"{name}: the video has no frames; at least one is needed")
    if min(height, width) < smallest_side:
        raise InputError(
            f"{name}: frames are {height} x {width} pixels (height x width); "
            f"both sides must have at least {smallest_side}"
        )


def check_videos(smallest_side: int = 1, **videos: np.ndarray) -> None:
    """Check each video and that all have the same shape; keywords are the names used in messages.

    Raises:
        InputError: One is not a video, or shapes differ.
    """
    for name, video in videos.items():
        check_video(video, name, smallest_side)
    first, *others = videos
    for name in others:
        if videos[name].shape != videos[first].shape:
            raise InputError(
                f"{name}: shape {videos[name].shape} differs from {first}'s {videos[first].shape}; "
                "the same number of frames of the same size is needed"
            )


def check_mask(mask: np.ndarray, video: np.ndarray) -> None:
    """Check that `mask` is boolean (F, H, W) like `video`.

    Raises:
        InputError: It is not.
    """
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_:
        kind = mask.dtype if isinstance(mask, np.ndarray) else type(mask).__name__
        raise InputError(f"mask: values are {kind}; a mask is a boolean NumPy array, True where pixels count")
    if mask.shape != video.shape[:3]:
        raise InputError(f"mask: shape {mask.shape} differs from the video's {video.shape[:3]}")


def check_true_disparity(disparity: np.ndarray, video: np.ndarray) -> None:
    """Check that `disparity` is a float (F, H, W) array like `video`; NaN marks unknown pixels.

    Raises:
        InputError: It is not, or it holds infinities.
    """
    if not isinstance(disparity, np.ndarray) or not np.issubdtype(disparity.dtype, np.floating):
        kind = disparity.dtype if isinstance(disparity, np.ndarray) else type(disparity).__name__
        raise InputError(f"true disparity: values are {kind}; it is a float array in percent of width")
    if disparity.shape != video.shape[:3]:
        raise InputError(f"true disparity: shape {disparity.shape} differs from the video's {video.shape[:3]}")
    if np.isinf(disparity).any():
        raise InputError("true disparity: contains infinities; mark unknown pixels with NaN")


def check_side(side: str) -> None:
    """Check that `side` names an eye.

    Raises:
        InputError: It does not.
    """
    if side not in ("left", "right"):
        raise InputError(f"target side: {side!r} is unknown; it is 'left' or 'right' (the target view's eye)")


def check_convergence(percent: float) -> None:
    """Check that a convergence shift is a finite number of percent of the width, within half of it.

    Raises:
        InputError: It is not.
    """
    if not math.isfinite(percent) or abs(percent) > 50:
        raise InputError(f"convergence: {percent} is out of range; it is a shift from -50 to 50 percent of width")


def check_strength(strength: float | None) -> None:
    """Check that the strength asked for, if it is known, is above 0 and at most 100 percent of the width.

    Raises:
        InputError: It is not.
    """
    if strength is not None and not 0 < strength <= 100:
        raise InputError(
            f"strength: {strength} is out of range; it is a largest shift, above 0 to 100 percent of width"
        )
