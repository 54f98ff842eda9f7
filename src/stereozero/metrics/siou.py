"""Stereo intersection over union (SIoU) of Mono2Stereo.

Yu et al., "Mono2Stereo: A Benchmark and Empirical Study for Stereo Conversion", CVPR 2025. The constants are those of
the released evaluation code (repository song2yu/Mono2Stereo, commit 5095b9f, `utils_depth/metrics.py`):

    SIoU = 0.75 IoU(edges of the target, edges of the truth)
         + 0.25 IoU(|target - source| > 5, |truth - source| > 5)

Edges: OpenCV's Canny on the grey frame, thresholds 100 and 200, 3 x 3 Sobel, L1 gradient. Differences: taken for each
channel, then converted to grey, then compared with 5 levels. No dilation anywhere.

The released code has two slips, and its test script scores frames resized to 1280 x 800:

- It subtracts 8-bit arrays, so negative differences wrap around (10 - 11 gives 255, not 1).
- It converts RGB frames to grey with the BGR weights.

`siou` is the definition without the slips; `siou_released` reproduces them. Both work at the video's own size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from stereozero.metrics.checks import check_mask, check_videos
from stereozero.metrics.result import MetricResult, Score, mean_of_defined, undefined_notes

VERSION = 1


@dataclass(frozen=True)
class SiouParameters:
    """Frozen choices of SIoU.

    Args:
        canny_low: Lower hysteresis threshold of the edge detector.
        canny_high: Upper hysteresis threshold of the edge detector.
        difference_threshold: A pixel differs from the source view above this many grey levels.
        edge_weight: Weight of the edge part; the difference part has the rest.
    """

    canny_low: float = 100.0
    canny_high: float = 200.0
    difference_threshold: int = 5
    edge_weight: float = 0.75


DEFAULTS = SiouParameters()

SCORES = (
    Score(
        "siou",
        "1",
        "higher",
        "Mono2Stereo's SIoU of the target view against the true one: 0.75 edge IoU + 0.25 IoU of the pixels that "
        "differ from the source view; 1 is perfect. Mean over frames in which both parts are defined.",
    ),
    Score(
        "siou_edges",
        "1",
        "higher",
        "Edge part of siou: intersection over union of Canny edges of the target view and of the true one.",
    ),
    Score(
        "siou_difference",
        "1",
        "higher",
        "Difference part of siou: intersection over union of the pixels in which the target view, and the true one, "
        "differ from the source view by more than 5 grey levels. 0 for a target equal to the source.",
    ),
    Score(
        "siou_released",
        "1",
        "higher",
        "SIoU exactly as Mono2Stereo's released code computes it, with its 8-bit wrap-around of differences and "
        "swapped colour channels; to compare with numbers made by that code.",
    ),
)

MASKED_SCORES = (
    Score("siou_masked", "1", "higher", "siou counted over the pixels inside the mask only."),
    Score("siou_edges_masked", "1", "higher", "siou_edges counted over the pixels inside the mask only."),
    Score("siou_difference_masked", "1", "higher", "siou_difference counted over the pixels inside the mask only."),
)

_UNDEFINED_EDGES = "neither view has an edge there"
_UNDEFINED_DIFFERENCE = "neither view differs from the source there"


class SiouParts(NamedTuple):
    """SIoU of one frame and its two parts, each in [0, 1] or NaN."""

    siou: float
    edges: float
    difference: float


def measure_siou(
    source: np.ndarray, target: np.ndarray, truth: np.ndarray, parameters: SiouParameters = DEFAULTS
) -> MetricResult:
    """Score a target view against the true one with SIoU over all pixels.

    A part is undefined where both of its sets are empty (no edges, or both views equal to the source), and so is
    SIoU then: agreement about nothing is no evidence of stereo.

    Args:
        source: (F, H, W, 3) uint8 RGB, the view the target was made from.
        target: (F, H, W, 3) uint8 RGB.
        truth: (F, H, W, 3) uint8 RGB, the true view from the target's position.
        parameters: Frozen choices.

    Returns:
        The columns of `SCORES`.

    Raises:
        InputError: Not videos, or shapes differ.
    """
    check_videos(3, source=source, target=target, truth=truth)
    frames = list(zip(source, target, truth, strict=True))
    parts = np.array([frame_siou(*frame, parameters) for frame in frames])  # (F, 3)
    released = np.array([frame_siou_released(*frame, parameters) for frame in frames])  # (F,)
    per_frame = dict(zip(("siou", "siou_edges", "siou_difference"), parts.T, strict=True))
    per_frame["siou_released"] = released
    notes = _notes(per_frame, "")
    notes += undefined_notes(["siou_released"], released, f"{_UNDEFINED_EDGES}, or {_UNDEFINED_DIFFERENCE}")
    return MetricResult.from_values(per_frame, _means(per_frame), notes)


def measure_masked_siou(
    source: np.ndarray,
    target: np.ndarray,
    truth: np.ndarray,
    mask: np.ndarray,
    parameters: SiouParameters = DEFAULTS,
) -> MetricResult:
    """Score with SIoU inside a mask only; edges are found in the whole frame and counted inside the mask.

    Args:
        source: (F, H, W, 3) uint8 RGB.
        target: (F, H, W, 3) uint8 RGB.
        truth: (F, H, W, 3) uint8 RGB.
        mask: (F, H, W) bool, True where pixels count.
        parameters: Frozen choices.

    Returns:
        The columns of `MASKED_SCORES`.

    Raises:
        InputError: Not videos or no mask, or shapes differ.
    """
    check_videos(3, source=source, target=target, truth=truth)
    check_mask(mask, source)
    frames = zip(source, target, truth, mask, strict=True)
    parts = np.array([frame_siou(a, b, c, parameters, inside) for a, b, c, inside in frames])  # (F, 3)
    names = ("siou_masked", "siou_edges_masked", "siou_difference_masked")
    per_frame = dict(zip(names, parts.T, strict=True))
    return MetricResult.from_values(per_frame, _means(per_frame), _notes(per_frame, "_masked"))


def frame_siou(
    source: np.ndarray,
    target: np.ndarray,
    truth: np.ndarray,
    parameters: SiouParameters = DEFAULTS,
    mask: np.ndarray | None = None,
) -> SiouParts:
    """Return SIoU of one frame: (H, W, 3) uint8 RGB views, optional (H, W) bool mask."""
    to_grey = cv2.COLOR_RGB2GRAY
    edges = [_edges(view, to_grey, parameters) for view in (target, truth)]
    changed = [
        cv2.cvtColor(cv2.absdiff(view, source), to_grey) > parameters.difference_threshold for view in (target, truth)
    ]
    if mask is not None:
        edges = [found & mask for found in edges]
        changed = [found & mask for found in changed]
    return _combine(intersection_over_union(*edges), intersection_over_union(*changed), parameters)


def frame_siou_released(
    source: np.ndarray, target: np.ndarray, truth: np.ndarray, parameters: SiouParameters = DEFAULTS
) -> float:
    """Return SIoU of one frame with the released code's slips: (H, W, 3) uint8 RGB views."""
    to_grey = cv2.COLOR_BGR2GRAY  # on RGB frames, as released
    edges = [_edges(view, to_grey, parameters) for view in (target, truth)]
    changed = [
        cv2.cvtColor(view - source, to_grey) > parameters.difference_threshold  # uint8 wraps, as released
        for view in (target, truth)
    ]
    return _combine(intersection_over_union(*edges), intersection_over_union(*changed), parameters).siou


def intersection_over_union(first: np.ndarray, second: np.ndarray) -> float:
    """Return the IoU of two boolean arrays in [0, 1], or NaN when both are empty."""
    union = np.count_nonzero(first | second)
    return np.count_nonzero(first & second) / union if union else math.nan


def _edges(view: np.ndarray, to_grey: int, parameters: SiouParameters) -> np.ndarray:
    grey = cv2.cvtColor(view, to_grey)
    return cv2.Canny(grey, parameters.canny_low, parameters.canny_high) > 0


def _combine(edges: float, difference: float, parameters: SiouParameters) -> SiouParts:
    siou = parameters.edge_weight * edges + (1 - parameters.edge_weight) * difference
    return SiouParts(siou, edges, difference)


def _means(per_frame: dict[str, np.ndarray]) -> dict[str, float]:
    return {name: mean_of_defined(values) for name, values in per_frame.items()}


def _notes(per_frame: dict[str, np.ndarray], suffix: str) -> list[str]:
    edges, difference, siou = f"siou_edges{suffix}", f"siou_difference{suffix}", f"siou{suffix}"
    return (
        undefined_notes([edges], per_frame[edges], _UNDEFINED_EDGES)
        + undefined_notes([difference], per_frame[difference], _UNDEFINED_DIFFERENCE)
        + undefined_notes([siou], per_frame[siou], f"{edges} or {difference} is undefined")
    )
