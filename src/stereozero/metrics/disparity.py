"""The disparity really achieved between the two views, and its error where the true one is known.

Positive is in front of the screen: x_left - x_right > 0. Everything is in percent of the frame's width and on the
source view's grid. Matching is described in `matching`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from stereozero.metrics import matching
from stereozero.metrics.checks import Side, check_true_disparity
from stereozero.metrics.matching import Match, MatchParameters, match_views
from stereozero.metrics.result import MetricResult, Score, note, undefined_notes

VERSION = f"2+matching{matching.VERSION}"


@dataclass(frozen=True)
class DisparityParameters:
    """Frozen choices of the disparity scores.

    Args:
        matching: Choices of the stereo matching.
        bad_threshold: A match is off when its error exceeds this [px of the frame].
        range_margin: Say so when the 1 or 99 percentile is this close to the end of the search range [percent of
            width].
    """

    matching: MatchParameters = field(default_factory=MatchParameters)
    bad_threshold: float = 1.0
    range_margin: float = 0.5


DEFAULTS = DisparityParameters()
PERCENTILES = {
    "disparity_min": 0.0,
    "disparity_p01": 1.0,
    "disparity_p50": 50.0,
    "disparity_p99": 99.0,
    "disparity_max": 100.0,
}
SWAPPED_EYES = "nearly everything lies behind the screen, as if left and right were exchanged"
_NO_MATCH = "no pixel could be matched: no texture, or views that show different things"

SCORES = (
    Score(
        "disparity_min",
        "percent of width",
        "none",
        "Smallest disparity achieved between the views (OpenCV SGBM, valid pixels); negative is behind the screen.",
    ),
    Score("disparity_p01", "percent of width", "none", "1 percentile of the disparity achieved between the views."),
    Score("disparity_p50", "percent of width", "none", "Median of the disparity achieved between the views."),
    Score("disparity_p99", "percent of width", "none", "99 percentile of the disparity achieved between the views."),
    Score(
        "disparity_max",
        "percent of width",
        "none",
        "Largest disparity achieved between the views; positive is in front of the screen.",
    ),
    Score(
        "disparity_valid",
        "percent of pixels",
        "none",
        "Share of source pixels with a trustworthy match: textured, visible in both views, and matched alike "
        "from either view. The other disparity columns are taken over these.",
    ),
)

ERROR_SCORES = (
    Score(
        "disparity_error_mean",
        "percent of width",
        "lower",
        "Mean absolute difference between the disparity achieved and the true one, over valid matches.",
    ),
    Score(
        "disparity_error_median",
        "percent of width",
        "lower",
        "Median absolute difference between the disparity achieved and the true one, over valid matches.",
    ),
    Score(
        "disparity_bad",
        "percent of pixels",
        "lower",
        "Share of valid matches whose disparity is off by more than 1 px of the frame.",
    ),
)


def measure_disparity(
    source: np.ndarray,
    target: np.ndarray,
    target_side: Side = "right",
    parameters: DisparityParameters = DEFAULTS,
) -> MetricResult:
    """Measure the disparity between two views.

    Args:
        source: (F, H, W, 3) uint8 RGB.
        target: (F, H, W, 3) uint8 RGB.
        target_side: The target view's eye.
        parameters: Frozen choices.

    Returns:
        The columns of `SCORES`. The clip's percentiles are those of all its valid pixels together.

    Raises:
        InputError: Not videos, shapes differ, frames smaller than 16 px, or an unknown side.
    """
    return summarise_disparity(match_views(source, target, target_side, parameters.matching), parameters)


def measure_disparity_error(
    source: np.ndarray,
    target: np.ndarray,
    true_disparity: np.ndarray,
    target_side: Side = "right",
    parameters: DisparityParameters = DEFAULTS,
) -> MetricResult:
    """Compare the disparity between two views with the true one.

    Args:
        source: (F, H, W, 3) uint8 RGB.
        target: (F, H, W, 3) uint8 RGB.
        true_disparity: (F, H, W) float on the source's grid, in percent of width, positive in front of the screen;
            NaN where unknown.
        target_side: The target view's eye.
        parameters: Frozen choices.

    Returns:
        The columns of `ERROR_SCORES`.

    Raises:
        InputError: Not videos, shapes differ, frames smaller than 16 px, infinities, or an unknown side.
    """
    match = match_views(source, target, target_side, parameters.matching)
    check_true_disparity(true_disparity, source)
    return summarise_disparity_error(match, true_disparity, parameters)


def summarise_disparity(match: Match, parameters: DisparityParameters = DEFAULTS) -> MetricResult:
    """Return the columns of `SCORES` for views that are matched already."""
    frames = [_percentiles(frame) for frame in match.percent]
    per_frame = {name: [values[name] for values in frames] for name in PERCENTILES}
    per_frame["disparity_valid"] = 100 * match.valid.mean(axis=(1, 2))
    clip = {**_percentiles(match.percent), "disparity_valid": 100 * match.valid.mean()}
    notes = undefined_notes(PERCENTILES, per_frame["disparity_p50"], _NO_MATCH)
    limits = parameters.matching
    if (
        clip["disparity_p99"] > limits.nearest - parameters.range_margin
        or clip["disparity_p01"] < limits.farthest + parameters.range_margin
    ):
        notes.append(
            note(
                PERCENTILES,
                f"disparities reach the end of the search range ({limits.farthest:g} to {limits.nearest:g} percent "
                "of width); larger ones, if any, were not seen",
            )
        )
    if eyes_look_swapped(clip["disparity_p01"], clip["disparity_p99"]):
        notes.append(note(PERCENTILES, SWAPPED_EYES))
    return MetricResult.from_values(per_frame, clip, notes)


def summarise_disparity_error(
    match: Match, true_disparity: np.ndarray, parameters: DisparityParameters = DEFAULTS
) -> MetricResult:
    """Return the columns of `ERROR_SCORES` for views that are matched already."""
    error = np.abs(match.percent - true_disparity)  # (F, H, W), NaN where either is unknown
    bad = parameters.bad_threshold * 100 / error.shape[2]
    frames = [_error_scores(frame, bad) for frame in error]
    per_frame = {score.name: [values[score.name] for values in frames] for score in ERROR_SCORES}
    notes = undefined_notes(per_frame, per_frame["disparity_bad"], f"{_NO_MATCH}, or the truth is unknown there")
    return MetricResult.from_values(per_frame, _error_scores(error, bad), notes)


def eyes_look_swapped(
    farthest: float | None, nearest: float | None, least: float = 0.5, ratio: float = 3.0
) -> bool | None:
    """Tell from the ends of the disparity range whether left and right look exchanged.

    Views of parallel cameras, and of this pipeline's methods, have everything in front of the screen; exchanged, they
    have everything behind it. A convergence shift that leaves something on either side is not taken for that.

    Args:
        farthest: `disparity_p01` [percent of width].
        nearest: `disparity_p99` [percent of width].
        least: The range must reach this far from the screen [percent of width].
        ratio: It must reach so many times farther behind the screen than in front of it.

    Returns:
        True or False, or None where the range is undefined or too close to the screen.
    """
    if farthest is None or nearest is None or math.isnan(farthest) or math.isnan(nearest):
        return None
    behind, before = max(-farthest, 0.0), max(nearest, 0.0)
    return None if max(behind, before) < least else behind > ratio * before


def _percentiles(percent: np.ndarray) -> dict[str, float]:
    defined = percent[~np.isnan(percent)]
    if not defined.size:
        return dict.fromkeys(PERCENTILES, math.nan)
    return dict(zip(PERCENTILES, np.percentile(defined, list(PERCENTILES.values())), strict=True))


def _error_scores(error: np.ndarray, bad: float) -> dict[str, float]:
    defined = error[~np.isnan(error)]
    if not defined.size:
        return {score.name: math.nan for score in ERROR_SCORES}
    return {
        "disparity_error_mean": float(defined.mean(dtype=np.float64)),
        "disparity_error_median": float(np.median(defined)),
        "disparity_bad": float(100 * (defined > bad).mean()),
    }
