"""Colour difference between the two views, in CIE Lab (D65, sRGB input).

Two eyes that see different colours fight. Differences of the views' statistics ask whether a view as a whole drifted;
differences of matched pixels ask whether the same point has the same colour in both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import cv2
import numpy as np
from skimage.color import deltaE_ciede2000, rgb2lab

from stereozero.metrics import matching
from stereozero.metrics.checks import Side, check_videos
from stereozero.metrics.matching import Match, MatchParameters, match_views
from stereozero.metrics.result import MetricResult, Score, mean_of_defined, undefined_notes

VERSION = f"1+matching{matching.VERSION}"


@dataclass(frozen=True)
class ColourParameters:
    """Frozen choices of the colour scores.

    Args:
        matching: Choices of the stereo matching.
    """

    matching: MatchParameters = field(default_factory=MatchParameters)


DEFAULTS = ColourParameters()

SCORES = (
    Score(
        "colour_mean",
        "CIEDE2000",
        "lower",
        "Colour difference between the mean Lab colours of the two views, mean over frames; about 1 is just visible.",
    ),
    Score("colour_lightness", "L*", "none", "Mean lightness of the target view minus that of the source view."),
    Score(
        "colour_contrast",
        "L*",
        "none",
        "Standard deviation of the target view's lightness minus that of the source view; negative is flatter.",
    ),
    Score("colour_chroma", "C*", "none", "Mean chroma of the target view minus that of the source; negative is paler."),
    Score(
        "colour_matched",
        "CIEDE2000",
        "lower",
        "Mean colour difference of points seen by both views (stereo matches). An underestimate: points whose colour "
        "differs much are not matched.",
    ),
)


def measure_colour(
    source: np.ndarray, target: np.ndarray, target_side: Side = "right", parameters: ColourParameters = DEFAULTS
) -> MetricResult:
    """Compare the colours of two views.

    Args:
        source: (F, H, W, 3) uint8 RGB.
        target: (F, H, W, 3) uint8 RGB.
        target_side: The target view's eye.
        parameters: Frozen choices.

    Returns:
        The columns of `SCORES`; the clip's values are means over frames.

    Raises:
        InputError: Not videos, shapes differ, frames smaller than 16 px, or an unknown side.
    """
    return summarise_colour(source, target, match_views(source, target, target_side, parameters.matching))


def summarise_colour(source: np.ndarray, target: np.ndarray, match: Match) -> MetricResult:
    """Return the columns of `SCORES` for views that are matched already."""
    check_videos(source=source, target=target)
    frames = [_compare_frame(rgb2lab(a), rgb2lab(b), x) for a, b, x in zip(source, target, match.target_x, strict=True)]
    per_frame = {score.name: [values[score.name] for values in frames] for score in SCORES}
    clip = {name: mean_of_defined(values) for name, values in per_frame.items()}
    notes = undefined_notes(["colour_matched"], per_frame["colour_matched"], "no pixel could be matched")
    return MetricResult.from_values(per_frame, clip, notes)


def _compare_frame(source: np.ndarray, target: np.ndarray, target_x: np.ndarray) -> dict[str, float]:
    """Compare Lab views (H, W, 3); `target_x` (H, W) is the target column of each source pixel, NaN without match."""
    means = [view.mean(axis=(0, 1)) for view in (source, target)]
    lightness_spread = [view[..., 0].std() for view in (source, target)]
    chroma = [np.hypot(view[..., 1], view[..., 2]).mean() for view in (source, target)]
    return {
        "colour_mean": float(deltaE_ciede2000(*means)),
        "colour_lightness": means[1][0] - means[0][0],
        "colour_contrast": lightness_spread[1] - lightness_spread[0],
        "colour_chroma": chroma[1] - chroma[0],
        "colour_matched": _matched_difference(source, target, target_x),
    }


def _matched_difference(source: np.ndarray, target: np.ndarray, target_x: np.ndarray) -> float:
    valid = ~np.isnan(target_x)
    if not valid.any():
        return math.nan
    rows = np.broadcast_to(np.arange(len(target_x), dtype=np.float32)[:, None], target_x.shape)
    columns = np.where(valid, target_x, 0).astype(np.float32)
    sampled = cv2.remap(
        target.astype(np.float32),
        columns,
        np.ascontiguousarray(rows),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return float(deltaE_ciede2000(source[valid], sampled[valid]).mean())
