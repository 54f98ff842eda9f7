"""Pictures for people: disparity in colours, and contact sheets for galleries."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from stereozero.errors import InputError
from stereozero.images import save_png

LABEL_WIDTH = 120
HEADER_HEIGHT = 22
GAP = 4
_FONT_SIZE = 13
_SMALLEST_FONT_SIZE = 8
_LETTERS_A_LINE = 17  # at the full font size
_BACKGROUND = (220, 220, 220)  # neither the white nor the black of a mask
_INK = (30, 30, 30)


def colour_map_disparity(disparity: np.ndarray) -> np.ndarray:
    """Show disparity in colours whose brightness rises with it: near is bright yellow, far is black (inferno).

    The scale is fixed, not stretched to the content: equal disparities have equal colours in every preview.

    Args:
        disparity: float (F, H, W) in [0, 1]; what lies outside is clipped.

    Returns:
        uint8 (F, H, W, 3), RGB.
    """
    levels = np.rint(np.clip(disparity, 0, 1) * 255).astype(np.uint8)
    table = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_INFERNO)  # (256, 1, 3), BGR
    return np.ascontiguousarray(table.reshape(256, 3)[:, ::-1])[levels]


def contact_sheet(path: Path, videos: Mapping[str, np.ndarray], times: Sequence[int], cell_width: int = 256) -> None:
    """Write frames of several videos as a labelled table (PNG), for comparing by eye.

    Args:
        path: the final name, ``.png``.
        videos: name -> uint8 (F, H, W, 3), (F, H, W) grey, or bool (F, H, W) mask; one row each, in this order.
        times: indices of the frames; one column each. A video that is shorter has an empty cell there.
        cell_width: columns of a cell; frames are scaled to it and keep their shape.

    Raises:
        InputError: no video, no time, or a negative time.
        StageError: the file system failed; a file that was there before is untouched.
    """
    save_png(path, compose_sheet(videos, times, cell_width))


def compose_sheet(videos: Mapping[str, np.ndarray], times: Sequence[int], cell_width: int) -> np.ndarray:
    """Return the table of :func:`contact_sheet` as uint8 (h, w, 3), RGB."""
    if not videos or not times or min(times) < 0:
        raise InputError(
            f"contact sheet: {len(videos)} videos at the times {list(times)}; at least one of both is right"
        )
    heights = {name: max(1, round(cell_width * frames.shape[1] / frames.shape[2])) for name, frames in videos.items()}
    width = LABEL_WIDTH + len(times) * (cell_width + GAP)
    sheet = Image.new("RGB", (width, HEADER_HEIGHT + sum(heights.values()) + GAP * len(heights)), _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(_FONT_SIZE)
    for column, time in enumerate(times):
        draw.text((_column_left(column, cell_width), 4), f"frame {time}", _INK, font)
    top = HEADER_HEIGHT
    for name, frames in videos.items():
        _draw_label(draw, name, top + 2, heights[name])
        for column, time in enumerate(times):
            if time < len(frames):
                cell = _cell(frames[time], cell_width, heights[name])
                sheet.paste(cell, (_column_left(column, cell_width), top))
        top += heights[name] + GAP
    return np.asarray(sheet)


def _column_left(column: int, cell_width: int) -> int:
    return LABEL_WIDTH + column * (cell_width + GAP)


def _draw_label(draw: ImageDraw.ImageDraw, name: str, top: int, height: int) -> None:
    # A caption may be long; it is written as large as fits beside its row.
    for size in range(_FONT_SIZE, _SMALLEST_FONT_SIZE - 1, -1):
        text = textwrap.fill(name, _LETTERS_A_LINE * _FONT_SIZE // size)
        font = ImageFont.load_default(size)
        _, _, right, bottom = draw.multiline_textbbox((GAP, top), text, font)
        if right <= LABEL_WIDTH and bottom <= top + height:
            break
    draw.multiline_text((GAP, top), text, _INK, font)


def _cell(frame: np.ndarray, width: int, height: int) -> Image.Image:
    levels = frame.astype(np.uint8) * 255 if frame.dtype == bool else frame
    return Image.fromarray(levels).convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
