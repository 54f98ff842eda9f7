"""Temporal flicker of the target view beyond that of the source view.

What a frame shows is looked up in the next frame along the optical flow (OpenCV's DIS flow, Kroeger et al., ECCV 2016);
what remains is change that motion does not explain: flicker, noise, and appearing detail. The source view has some of
it too, so the score is the excess over the source's.

What it does not see: wobble that moves smoothly (the flow explains it). A blurred target has less flicker than its
source, so a negative excess is no merit by itself.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import cv2
import numpy as np

from stereozero.metrics.checks import check_videos
from stereozero.metrics.result import MetricResult, Score, mean_of_defined, note

VERSION = 1
SMALLEST_SIDE = 32


@dataclass(frozen=True)
class FlickerParameters:
    """Frozen choices of the flicker scores.

    Args:
        preset: OpenCV's DIS preset (0 ultrafast, 1 fast, 2 medium).
        full_resolution_side: Frames whose shorter side is below this get flow at full resolution, larger ones at half
            resolution [px].
        consistency: Largest distance between a pixel and where flow forth and back leads [percent of width]; at
            least 1 px.
    """

    preset: int = cv2.DISOPTICAL_FLOW_PRESET_MEDIUM
    full_resolution_side: int = 256
    consistency: float = 0.2


DEFAULTS = FlickerParameters()

SCORES = (
    Score(
        "flicker_source",
        "8-bit levels",
        "none",
        "Mean absolute change of the source view from frame to frame that optical flow does not explain.",
    ),
    Score(
        "flicker_target",
        "8-bit levels",
        "lower",
        "Mean absolute change of the target view from frame to frame that optical flow does not explain.",
    ),
    Score(
        "flicker_excess",
        "8-bit levels",
        "lower",
        "flicker_target minus flicker_source; 0 is as steady as the source, below 0 may be blur.",
    ),
    Score(
        "flicker_followed",
        "percent of pixels",
        "none",
        "Share of target pixels that flow follows into the next frame and back; the flicker columns are taken over "
        "these.",
    ),
)


def measure_flicker(source: np.ndarray, target: np.ndarray, parameters: FlickerParameters = DEFAULTS) -> MetricResult:
    """Compare the frame-to-frame flicker of two views.

    Args:
        source: (F, H, W, 3) uint8 RGB.
        target: (F, H, W, 3) uint8 RGB.
        parameters: Frozen choices.

    Returns:
        The columns of `SCORES`. A frame's value is the change from the frame before, so the first frame has none;
        with a single frame the clip has none either.

    Raises:
        InputError: Not videos, shapes differ, or frames smaller than 32 px.
    """
    check_videos(SMALLEST_SIDE, source=source, target=target)
    in_source, _ = flicker_of_view(source, parameters)
    in_target, followed = flicker_of_view(target, parameters)
    changes = {
        "flicker_source": in_source,
        "flicker_target": in_target,
        "flicker_excess": in_target - in_source,
        "flicker_followed": followed,
    }
    per_frame = {name: np.concatenate([[math.nan], values]) for name, values in changes.items()}
    clip = {name: mean_of_defined(values) for name, values in changes.items()}
    return MetricResult.from_values(per_frame, clip, _notes(changes))


def flicker_of_view(video: np.ndarray, parameters: FlickerParameters = DEFAULTS) -> tuple[np.ndarray, np.ndarray]:
    """Return the unexplained change into each frame but the first, and the share of pixels it was taken over.

    Args:
        video: (F, H, W, 3) uint8 RGB.
        parameters: Frozen choices.

    Returns:
        (F - 1,) mean absolute change in levels, NaN where flow follows no pixel, and (F - 1,) percent of pixels.
    """
    flow = _flow_estimator(video.shape[1:3], parameters)
    pairs = [_unexplained_change(a, b, flow, parameters) for a, b in itertools.pairwise(video)]
    change, followed = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
    return change, followed


def _flow_estimator(size: tuple[int, int], parameters: FlickerParameters) -> cv2.DISOpticalFlow:
    flow = cv2.DISOpticalFlow_create(parameters.preset)
    flow.setFinestScale(0 if min(size) < parameters.full_resolution_side else 1)
    return flow


def _unexplained_change(
    frame: np.ndarray, following: np.ndarray, flow: cv2.DISOpticalFlow, parameters: FlickerParameters
) -> tuple[float, float]:
    grey, grey_following = (cv2.cvtColor(f, cv2.COLOR_RGB2GRAY) for f in (frame, following))
    forth = flow.calc(grey, grey_following, None)  # (H, W, 2) px
    back = flow.calc(grey_following, grey, None)
    height, width = grey.shape
    pixels = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=2).astype(np.float32)
    landing = pixels + forth
    returned = cv2.remap(back, landing, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    tolerance = max(1.0, parameters.consistency / 100 * width)
    inside = ((landing >= 0) & (landing <= (width - 1, height - 1))).all(axis=2)
    followed = inside & (np.linalg.norm(forth + returned, axis=2) <= tolerance)
    if not followed.any():
        return math.nan, 0.0
    moved = cv2.remap(following.astype(np.float32), landing, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return float(np.abs(moved - frame)[followed].mean(dtype=np.float64)), float(100 * followed.mean())


def _notes(changes: dict[str, np.ndarray]) -> list[str]:
    if not len(changes["flicker_target"]):
        return [note(changes, "a single frame has no flicker; at least two are needed")]
    notes = [note(changes, "the first frame has no value: a frame's value is the change from the one before")]
    lost = int(np.isnan(changes["flicker_excess"]).sum())
    if lost:
        notes.append(note(changes, f"undefined in {lost} frames in which optical flow follows no pixel"))
    return notes
