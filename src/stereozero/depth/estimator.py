"""The interface between a depth model and everything that asks for depth.

An estimator returns what its model says, unscaled. :mod:`stereozero.depth.convention` turns that into disparity; a
stage keeps both.
"""

import logging
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import torch
from torch import Tensor

from stereozero.errors import InputError

log = logging.getLogger(__name__)

DARK = 0.1
"""A video whose brightest pixel is below this is reported: models see little in it."""

_ONE_LEVEL = 1 / 255


class DepthKind(StrEnum):
    """What the numbers of an estimate mean."""

    METRIC = "metric depth"
    """Distance from the camera [m]; smaller is nearer."""
    INVERSE = "relative inverse depth"
    """Larger is nearer; scale and shift are unknown, but the same over the clip."""


@dataclass(frozen=True, eq=False)
class DepthEstimate:
    """What a depth model says of a clip.

    Attributes:
        values: (F, H, W) float32 on the CPU, at the video's size.
        kind: what they mean.
        focal_length: (F,) float32 [px at the video's width], of metric depth; None if unknown.
    """

    values: Tensor
    kind: DepthKind
    focal_length: Tensor | None = None


class DepthEstimator(Protocol):
    """A model that estimates the depth of a clip."""

    def estimate(self, video: Tensor) -> DepthEstimate:
        """Estimate the depth of every frame.

        Args:
            video: (F, 3, H, W) RGB in [0, 1], floating point, at least one frame, of any size. What a model can't take
                is resized for it, and the estimate is resized back.

        Raises:
            InputError: not such a video; see :func:`check_video`.
        """


def check_video(video: Tensor) -> None:
    """Check that a video is one, and that there is something to see in it.

    Args:
        video: should be (F, 3, H, W) RGB in [0, 1], floating point. A very dark one is only warned of.

    Raises:
        InputError: another shape or dtype, a value that is NaN or outside [0, 1], or one colour in all pixels.
    """
    if video.ndim != 4 or video.shape[1] != 3 or 0 in video.shape:
        raise InputError(f"video: has the shape {tuple(video.shape)}; (frames, 3, height, width) is right")
    if not video.is_floating_point():
        raise InputError(f"video: holds {video.dtype}; floating-point RGB in [0, 1] is right: divide 8 bits by 255")
    low, high = (float(value) for value in video.aminmax())  # both are NaN if any value is
    if not 0 <= low <= high <= 1:
        raise InputError(f"video: has values from {low:.4g} to {high:.4g}; RGB in [0, 1] is right")
    ranges = video.amax((0, 2, 3)) - video.amin((0, 2, 3))  # (3,)
    if float(ranges.max()) < _ONE_LEVEL:
        colour = ", ".join(f"{float(level):.3f}" for level in video[0, :, 0, 0])
        raise InputError(
            f"video: all {video.shape[0]} frames are of one colour ({colour}), so there is no depth to estimate; "
            "leave this clip out, or give its disparity"
        )
    if high < DARK:
        log.warning("video: is very dark (no value above %.3f of 1); its depth may be wrong", high)


def log_resizing(video: Tensor, height: int, width: int, model: str) -> None:
    """Say that the frames (F, 3, H, W) are brought to another size for a model, unless they have it."""
    if video.shape[-2:] != (height, width):
        found = f"{video.shape[-1]}x{video.shape[-2]}"
        log.info("video: %s pixels are resized to %dx%d for %s, and back", found, width, height, model)


def resize_maps(maps: Tensor, height: int, width: int) -> Tensor:
    """Resize maps (F, H, W) to (F, height, width): bilinear, and averaged over what is merged where they shrink."""
    if maps.shape[-2:] == (height, width):
        return maps
    return resize_frames(maps.unsqueeze(1), height, width).squeeze(1)


def resize_frames(video: Tensor, height: int, width: int) -> Tensor:
    """Resize frames (F, C, H, W) to (F, C, height, width) as :func:`resize_maps` does."""
    if video.shape[-2:] == (height, width):
        return video
    return torch.nn.functional.interpolate(video, (height, width), mode="bilinear", antialias=True)
