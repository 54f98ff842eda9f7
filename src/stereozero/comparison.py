"""A picture that compares methods: frames and enlarged details side by side, and scores with intervals below."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Rectangle

from stereozero.artifacts import atomic_path
from stereozero.metrics import SCORES
from stereozero.tables import score_heading, short_number

_LEAST_WIDTH = 12.0  # of the picture [inch]
_LEAST_CELL_WIDTH = 2.0  # of a frame [inch]
_BAR_HEIGHT = 0.3  # [inch]
_HEADROOM = 1.1  # for titles and ticks of the bars [inch]
_DOTS_AN_INCH = 100
_LETTERS_A_LINE = 20
_DETAIL_SHARE = 3  # a detail is this share of the frame's height and width
_MARK = "#ffd400"
_BAR, _INTERVAL = "#9db8d2", "#1f3a56"


class Detail(NamedTuple):
    """A part of a frame [px]."""

    top: int
    left: int
    height: int
    width: int

    def cut(self, frame: np.ndarray) -> np.ndarray:
        """Return the part of a frame (H, W, 3) that lies inside."""
        return frame[self.top : self.top + self.height, self.left : self.left + self.width]


class ClipFrames(NamedTuple):
    """One frame of a clip, as source, as each method makes it, and as it truly is.

    Attributes:
        title: says which frame of which clip.
        frames: column's title -> uint8 (H, W, 3), RGB.
        detail: the part to enlarge, if any.
    """

    title: str
    frames: Mapping[str, np.ndarray]
    detail: Detail | None


def busiest_detail(mask: np.ndarray) -> Detail | None:
    """Return the third of height and width that holds most of a mask (H, W) bool; None where nothing is masked."""
    if not mask.any():
        return None
    height, width = (max(1, side // _DETAIL_SHARE) for side in mask.shape)
    sums = cv2.integral(mask.astype(np.uint8))  # (H + 1, W + 1)
    counts = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    top, left = np.unravel_index(counts.argmax(), counts.shape)
    return Detail(int(top), int(left), height, width)


def draw_comparison(path: Path, clips: Sequence[ClipFrames], summary: pd.DataFrame, scores: Sequence[str]) -> None:
    """Write the picture (PNG).

    Args:
        path: the final name, ``.png``.
        clips: one row of frames each, and one of details where they have any.
        summary: a row a method, as :func:`stereozero.tables.summarise` returns it.
        scores: names of the columns of the summary that are drawn as bars; one panel each.

    Raises:
        OSError: the file system failed; a file that was there before is untouched.
    """
    figure = compose_comparison(clips, summary, scores)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=_DOTS_AN_INCH, metadata={"Software": None})


def compose_comparison(clips: Sequence[ClipFrames], summary: pd.DataFrame, scores: Sequence[str]) -> Figure:
    """Return the picture of :func:`draw_comparison`: a part with frames, if there are any, and one with bars."""
    columns = list(dict.fromkeys(name for clip in clips for name in clip.frames))
    rows = [row for clip in clips for row in _picture_rows(clip)]
    width = max(_LEAST_WIDTH, _LEAST_CELL_WIDTH * len(columns))
    heights = [width / len(columns) * _tallest(frames) for _, frames, _ in rows]
    bars_height = _HEADROOM + _BAR_HEIGHT * len(summary)
    figure = Figure(figsize=(width, sum(heights) + bars_height), layout="constrained")
    if not rows:
        _draw_bars(figure, summary, scores)
        return figure
    upper, lower = figure.subfigures(2, 1, height_ratios=[sum(heights), bars_height])
    grid = upper.subplots(len(rows), len(columns), squeeze=False, height_ratios=heights)
    for axes_row, (title, frames, mark) in zip(grid, rows, strict=True):
        _draw_row(axes_row, columns, title, frames, mark)
    for axes, name in zip(grid[0], columns, strict=True):
        axes.set_title(textwrap.fill(name, _LETTERS_A_LINE), fontsize=9)
    _draw_bars(lower, summary, scores)
    return figure


_PictureRow = tuple[str, Mapping[str, np.ndarray], Detail | None]


def _picture_rows(clip: ClipFrames) -> list[_PictureRow]:
    """Return title, pictures and the detail to mark in them, for the frames and for their details."""
    rows: list[_PictureRow] = [(clip.title, clip.frames, clip.detail)]
    if clip.detail is not None:
        rows.append(("detail", {name: clip.detail.cut(frame) for name, frame in clip.frames.items()}, None))
    return rows


def _tallest(frames: Mapping[str, np.ndarray]) -> float:
    """Return the largest ratio of height to width."""
    return max(frame.shape[0] / frame.shape[1] for frame in frames.values())


def _draw_row(
    axes_row: Sequence[Axes], columns: Sequence[str], title: str, frames: Mapping[str, np.ndarray], mark: Detail | None
) -> None:
    for axes, name in zip(axes_row, columns, strict=True):
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        if name in frames:
            axes.imshow(frames[name], interpolation="nearest")
            if mark is not None:
                corner = (mark.left - 0.5, mark.top - 0.5)
                axes.add_patch(Rectangle(corner, mark.width, mark.height, fill=False, edgecolor=_MARK))
    axes_row[0].set_ylabel(textwrap.fill(title, _LETTERS_A_LINE), fontsize=9)


def _draw_bars(figure: Figure | SubFigure, summary: pd.DataFrame, scores: Sequence[str]) -> None:
    panels = figure.subplots(1, max(1, len(scores)), sharey=True, squeeze=False)[0]
    panels[0].set_yticks(range(len(summary)), summary["method"], fontsize=9)
    panels[0].set_ylim(len(summary) - 0.5, -0.5)  # the first method at the top
    for axes, name in zip(panels, scores, strict=False):
        _draw_panel(axes, summary, name)
    figure.supxlabel("mean over clips; the line is its interval", fontsize=9)


def _draw_panel(axes: Axes, summary: pd.DataFrame, name: str) -> None:
    """Draw one score: bars from 0, their intervals as lines, the means as numbers at the right."""
    places = np.arange(len(summary))
    means, low, high = (summary[key].to_numpy(dtype=float) for key in (name, f"{name}_low", f"{name}_high"))
    axes.barh(places, means, color=_BAR)
    axes.hlines(places, low, high, color=_INTERVAL, linewidth=2)
    for place, mean in zip(places, means, strict=True):
        text = "–" if np.isnan(mean) else short_number(mean)
        axes.text(1.02, place, text, transform=axes.get_yaxis_transform(), va="center", fontsize=9)
    unit = SCORES[name].unit
    axes.set_title(score_heading(name) + ("" if unit == "1" else f" [{unit}]"), fontsize=9)
    axes.tick_params(axis="x", labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
