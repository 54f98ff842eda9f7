"""Two views out of one picture: side by side or top-bottom videos of others, and doubts about how they were read."""

import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from stereozero.errors import InputError
from stereozero.manifest import Layout

_ASPECTS = (0.95, 2.6)  # of a view, width / height: what narrower and wider ones are is rarely meant
_OTHER: dict[Layout, tuple[Layout, Layout]] = {
    # layout -> what it is likely to be where views come out too narrow, and where they come out too wide
    "full-sbs": ("half-sbs", "full-tb"),
    "half-sbs": ("full-tb", "full-sbs"),
    "full-tb": ("full-sbs", "half-tb"),
    "half-tb": ("full-tb", "full-sbs"),
}
_LEAST_LIKENESS = 0.5  # two views have 0.75 or more; halves of one picture, and views of two clips, 0.4 or less
_THUMBNAIL = (64, 48)  # width, height [px]
_LARGEST_SHIFT = 6  # of thumbnails against each other, either way [px]: 9 % of the width
_FRAMES_COMPARED = 8


def unpack_views(path: Path, frames: np.ndarray, layout: Layout, swap_eyes: bool = False) -> list[np.ndarray]:
    """Return the left and the right view of a packed video.

    Half layouts are stretched back to the size of the whole picture (Lanczos).

    Args:
        path: for messages.
        frames: uint8 (F, H, W, 3).
        layout: how it is packed; the left view is the left, or the upper one.
        swap_eyes: the right view is the left, or the upper one.

    Returns:
        Two uint8 videos (F, h, w, 3) of one size.

    Raises:
        InputError: the picture can't be divided into two halves.
    """
    kind, arrangement = layout.split("-")
    axis, side = (2, "width") if arrangement == "sbs" else (1, "height")
    if frames.shape[axis] % 2:
        raise InputError(f"{path}: its {side} is {frames.shape[axis]} px and can't be halved, as layout {layout} needs")
    views = np.split(frames, 2, axis=axis)
    if kind == "half":
        height, width = frames.shape[1:3]
        views = [_stretch(view, (width, height)) for view in views]
    return views[::-1] if swap_eyes else views


def _stretch(frames: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_LANCZOS4) for frame in frames])


def layout_doubts(shape: tuple[int, ...], layout: Layout) -> Iterator[str]:
    """Yield a sentence if views of a shape (F, h, w, 3), unpacked by a layout, look squeezed or stretched."""
    height, width = shape[1:3]
    narrowest, widest = _ASPECTS
    for is_odd, other, looks in zip(
        (width < narrowest * height, width > widest * height), _OTHER[layout], ("squeezed", "stretched"), strict=True
    ):
        if is_odd:
            yield (
                f"read as {layout}, each view is {width} x {height} px (width x height) and looks {looks}; if it is, "
                f"the layout may be {other}"
            )


def view_doubts(first: np.ndarray, second: np.ndarray) -> Iterator[str]:
    """Yield a sentence if two videos (F, H, W, 3) do not look like two views of one scene."""
    likeness = view_likeness(first, second)
    if likeness is not None and likeness < _LEAST_LIKENESS:
        yield (
            f"source and target do not look like two views of one scene (likeness {likeness:.2f}, two views have "
            f"{_LEAST_LIKENESS} or more); check the layout of a packed video, or whether the files belong together"
        )


def view_likeness(first: np.ndarray, second: np.ndarray) -> float | None:
    """Return how alike two videos are but for a horizontal shift, from -1 to 1, or None if they show nothing.

    The largest correlation of thumbnails over shifts by up to 9 % of the width, mean over some frames. Rows' and
    columns' means are taken out first: skies are bright and floors dark in views that have nothing in common, too.

    Args:
        first: uint8 (F, H, W, 3).
        second: uint8 (F, H, W, 3).
    """
    times = np.unique(np.linspace(0, len(first) - 1, _FRAMES_COMPARED).round().astype(int))
    values = [_frame_likeness(_thumbnail(first[time]), _thumbnail(second[time])) for time in times]
    return None if np.isnan(values).all() else float(np.nanmean(values))


def _thumbnail(frame: np.ndarray) -> np.ndarray:
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return cv2.resize(grey, _THUMBNAIL, interpolation=cv2.INTER_AREA)


def _frame_likeness(first: np.ndarray, second: np.ndarray) -> float:
    width = first.shape[1]
    shifts = range(-_LARGEST_SHIFT, _LARGEST_SHIFT + 1)
    pairs = [(first[:, max(0, s) : width + min(0, s)], second[:, max(0, -s) : width + min(0, -s)]) for s in shifts]
    return max(
        (_correlation(_flattened(a), _flattened(b)) for a, b in pairs), key=lambda value: (value == value, value)
    )


def _flattened(grey: np.ndarray) -> np.ndarray:
    return grey - grey.mean(axis=1, keepdims=True) - grey.mean(axis=0, keepdims=True) + grey.mean()


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Return the correlation of two arrays of mean 0, NaN where one of them is 0 throughout."""
    energy = float((first**2).sum() * (second**2).sum())
    return float((first * second).sum()) / math.sqrt(energy) if energy > 1 else math.nan
