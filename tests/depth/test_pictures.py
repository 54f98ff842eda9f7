import numpy as np
import pytest
from PIL import Image

from stereozero.depth.pictures import draw_disparities, draw_dissolve_levels
from stereozero.errors import InputError
from stereozero.preview import GAP, HEADER_HEIGHT, LABEL_WIDTH

CELL = 256  # contact_sheet's


def cell(picture: np.ndarray, row: int) -> np.ndarray:
    """Return the first column's square cell of a row."""
    top = HEADER_HEIGHT + row * (CELL + GAP)
    return picture[top : top + CELL, LABEL_WIDTH : LABEL_WIDTH + CELL]


def test_levels_lie_below_the_source_from_detailed_to_dissolved(tmp_path):
    source = np.full((2, 8, 8, 3), 128, np.uint8)
    levels = {40: np.zeros((2, 8, 8)), None: np.ones((2, 8, 8)), 10: np.full((2, 8, 8), 0.5)}
    draw_dissolve_levels(tmp_path / "levels.png", source, levels)
    picture = np.asarray(Image.open(tmp_path / "levels.png"))
    brightness = [cell(picture, row).mean() for row in range(4)]
    assert brightness[0] == pytest.approx(128)
    assert brightness[1] > brightness[2] > brightness[3]


def test_truth_stands_above_the_levels(tmp_path):
    source = np.zeros((1, 8, 8, 3), np.uint8)
    draw_dissolve_levels(tmp_path / "a.png", source, {None: np.zeros((1, 8, 8))}, truth=np.ones((1, 8, 8)))
    picture = np.asarray(Image.open(tmp_path / "a.png"))
    assert cell(picture, 1).mean() > cell(picture, 2).mean()


def test_at_most_four_frames_are_shown(tmp_path):
    source = np.zeros((16, 8, 8, 3), np.uint8)
    draw_disparities(tmp_path / "a.png", source, {"depth": np.zeros((16, 8, 8))})
    assert Image.open(tmp_path / "a.png").width == LABEL_WIDTH + 4 * (CELL + GAP)
    draw_disparities(tmp_path / "b.png", source[:1], {"depth": np.zeros((1, 8, 8))})
    assert Image.open(tmp_path / "b.png").width == LABEL_WIDTH + CELL + GAP


def test_negative_time(tmp_path):
    with pytest.raises(InputError, match="contact sheet"):
        draw_disparities(tmp_path / "a.png", np.zeros((2, 8, 8, 3), np.uint8), {}, times=[-1])
