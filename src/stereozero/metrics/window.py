"""Stereo window violations: things in front of the screen that the left or right edge of the frame cuts off.

The edge of the frame is seen at the screen's distance. Something in front of the screen that is cut by that edge is
occluded by what lies behind it, which the eyes can't believe (Mendiburu, "3D Movie Making", 2009).

Definition. A strip lies along the left and along the right edge of the frame. A stereo match belongs to a strip when
its column in either view is within it: an object in front is cut later in one view than in the other, so only
one view shows its matched part next to the edge. On each row of each strip, the median disparity of its matches, less
the convergence shift, is the row's depth at the edge. Rows with too few matches are not counted. A row violates the
window when that depth is in front of the screen by more than a tolerance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from stereozero.metrics import matching
from stereozero.metrics.checks import Side, check_convergence
from stereozero.metrics.matching import Match, MatchParameters, match_views
from stereozero.metrics.result import MetricResult, Score, undefined_notes

VERSION = f"1+matching{matching.VERSION}"


@dataclass(frozen=True)
class WindowParameters:
    """Frozen choices of the window scores.

    Args:
        matching: Choices of the stereo matching.
        strip: Width of the strip along each edge [percent of width]; at least 2 px.
        tolerance: Depth in front of the screen that is forgiven [percent of width].
        matched_share: A strip's row counts when it has at least this share of its width in matches [percent].
        frame_share: A frame violates the window when at least this share of its counted rows does [percent].
    """

    matching: MatchParameters = field(default_factory=MatchParameters)
    strip: float = 2.0
    tolerance: float = 0.3
    matched_share: float = 50.0
    frame_share: float = 5.0


DEFAULTS = WindowParameters()

SCORES = (
    Score(
        "window_rows",
        "percent of edge rows",
        "lower",
        "Share of rows at the left and right edge of the frame at which something is in front of the screen by more "
        "than 0.3 % of width after the convergence shift (stereo window violation).",
    ),
    Score(
        "window_frames",
        "percent of frames",
        "lower",
        "Share of frames in which at least 5 % of the edge rows violate the stereo window.",
    ),
    Score(
        "window_depth",
        "percent of width",
        "lower",
        "How far in front of the screen the violating edge rows are, mean; 0 when none violates the window.",
    ),
    Score(
        "window_measured",
        "percent of edge rows",
        "none",
        "Share of edge rows with enough stereo matches to tell; the other window columns are taken over these.",
    ),
)


def measure_window(
    source: np.ndarray,
    target: np.ndarray,
    target_side: Side = "right",
    convergence: float = 0.0,
    parameters: WindowParameters = DEFAULTS,
) -> MetricResult:
    """Look for stereo window violations.

    Args:
        source: (F, H, W, 3) uint8 RGB.
        target: (F, H, W, 3) uint8 RGB.
        target_side: The target view's eye.
        convergence: Shift that delivery will take off every disparity [percent of width]; positive pushes the scene
            back.
        parameters: Frozen choices.

    Returns:
        The columns of `SCORES`; the clip's values are taken over all its edge rows.

    Raises:
        InputError: Not videos, shapes differ, frames smaller than 16 px, an unknown side, or a
            convergence that is no share of the width.
    """
    match = match_views(source, target, target_side, parameters.matching)
    return summarise_window(match, convergence, parameters)


def summarise_window(match: Match, convergence: float = 0.0, parameters: WindowParameters = DEFAULTS) -> MetricResult:
    """Return the columns of `SCORES` for views that are matched already."""
    check_convergence(convergence)
    depth = edge_depth(match, parameters) - convergence  # (F, 2 H)
    frames = [_depth_scores(rows, parameters) for rows in depth]
    per_frame = {name: [values[name] for values in frames] for name in frames[0]}
    rows = np.array(per_frame["window_rows"])
    counted = rows[~np.isnan(rows)]
    violating_frames = 100 * (counted >= parameters.frame_share).mean() if counted.size else math.nan
    clip = {**_depth_scores(depth, parameters), "window_frames": float(violating_frames)}
    columns = ("window_rows", "window_frames", "window_depth")
    notes = undefined_notes(columns, rows, "no edge row has enough stereo matches")
    return MetricResult.from_values(per_frame, clip, notes)


def edge_depth(match: Match, parameters: WindowParameters = DEFAULTS) -> np.ndarray:
    """Return the depth at each row of the left edge, then of the right edge.

    Returns:
        (F, 2 H) float, median disparity of the row's matches in percent of width before any convergence shift; NaN
        where there are too few matches.
    """
    width = match.disparity.shape[2]
    strip = max(2, round(parameters.strip / 100 * width))
    target_x = match.target_x
    source_x = np.broadcast_to(np.arange(width, dtype=np.float32), target_x.shape)
    at_left = np.fmin(source_x, target_x) < strip - 0.5
    at_right = np.fmax(source_x, target_x) > width - strip - 0.5
    needed = max(1, math.ceil(parameters.matched_share / 100 * strip))
    edges = [_row_medians(match.percent, near & match.valid, needed) for near in (at_left, at_right)]
    return np.concatenate(edges, axis=1)


def _row_medians(percent: np.ndarray, chosen: np.ndarray, needed: int) -> np.ndarray:
    """Return the median of the chosen pixels of each row, (F, H); NaN where fewer than `needed` are chosen."""
    medians = np.full(percent.shape[:2], math.nan)
    enough = chosen.sum(axis=2) >= needed
    if enough.any():
        medians[enough] = np.nanmedian(np.where(chosen, percent, np.nan)[enough], axis=1)
    return medians


def _depth_scores(depth: np.ndarray, parameters: WindowParameters) -> dict[str, float]:
    counted = depth[~np.isnan(depth)]
    measured = 100 * counted.size / depth.size
    if not counted.size:
        return {"window_rows": math.nan, "window_depth": math.nan, "window_measured": measured}
    violating = counted[counted > parameters.tolerance]
    return {
        "window_rows": 100 * violating.size / counted.size,
        "window_depth": float(violating.mean()) if violating.size else 0.0,
        "window_measured": measured,
    }
