"""The sub-pixel warp against scenes whose target view is known by a formula."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from stereozero.stereo.warp import MAX_STRETCH, forward_warp, source_positions

WIDTH = 240
COLUMNS = np.arange(WIDTH)  # (W,)


def texture(positions: np.ndarray) -> np.ndarray:
    """Return a smooth texture in [-1, 1] at the given positions (W,); its shortest wave has 9 columns."""
    waves = [(9.1, 0.3), (14.3, 1.2), (53.0, 2.0)]
    return sum(np.sin(2 * math.pi * positions / length + phase) for length, phase in waves) / len(waves)


def rms(errors: np.ndarray) -> float:
    return float(np.sqrt((errors**2).mean()))


def between(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return (values >= low) & (values <= high)


def map_row(disparity: np.ndarray, shift: float) -> np.ndarray:
    """Return the source positions of one row (W,) whose disparity 1 moves by ``shift`` columns; NaN is blank."""
    rows = torch.from_numpy(disparity.astype(np.float32))[None, None]  # (1, 1, W)
    positions = source_positions(rows, 100 * shift / len(disparity))[0, 0].double().numpy()  # (W,)
    return np.where(positions < 0, np.nan, positions)


def warp_row(values: np.ndarray, disparity: np.ndarray, shift: float, mode: str) -> tuple[np.ndarray, np.ndarray]:
    """Return one warped row and its blank mask, (W,) each."""
    image = torch.from_numpy(values.astype(np.float32))[None, None, None]  # (1, 1, 1, W)
    rows = torch.from_numpy(disparity.astype(np.float32))[None, None]  # (1, 1, W)
    warped = forward_warp(image, rows, 100 * shift / len(disparity), mode)
    return warped.image[0, 0, 0].numpy(), warped.blank[0, 0].numpy()


@pytest.mark.parametrize("shift", [60.5, 12.3])
@pytest.mark.parametrize("slope", [0, 0.2, 0.5, -0.1, -0.3, -0.5], ids=lambda slope: f"stretch {1 - slope}")
def test_a_plane_is_seen_where_it_should_be(slope, shift):
    """``slope`` is the change of the shift from one column to the next."""
    middle = WIDTH / 2
    disparity = np.clip(0.5 + slope / shift * (COLUMNS - middle), 0, 1)
    # Target y = x - shift / 2 - slope (x - middle), solved for x:
    truth = (COLUMNS + shift / 2 - slope * middle) / (1 - slope)
    reach = min(middle - 1, shift / 2 / abs(slope) - 1) if slope else middle - 1
    plane = np.abs(truth - middle) <= reach
    assert plane.sum() > 10
    positions = map_row(disparity, shift)
    assert np.abs(positions - truth)[plane].max() < 1e-4
    # Linear interpolation of a wave of 9.1 columns misses up to 6 % of its height, and it is a third of the texture.
    image, _ = warp_row(texture(COLUMNS), disparity, shift, "subpixel")
    error = (image - texture(truth))[plane]
    assert np.abs(error).max() < 0.04
    whole, blank = warp_row(texture(COLUMNS), disparity, shift, "whole")
    whole_error = (whole - texture(truth))[plane & ~blank]
    assert rms(whole_error) > 3 * rms(error)


def test_a_curved_surface_has_no_cracks():
    disparity = 0.5 + 0.4 * np.sin(2 * math.pi * COLUMNS / 80)
    shift = 15.0  # the shift changes by up to 0.47 from column to column
    fine = np.linspace(0, WIDTH - 1, 100 * WIDTH)
    fine_target = fine - shift * (0.5 + 0.4 * np.sin(2 * math.pi * fine / 80))
    truth = np.interp(COLUMNS, fine_target, fine)  # (W,)
    inside = between(COLUMNS, fine_target[0], fine_target[-1])
    positions = map_row(disparity, shift)
    assert np.abs(positions - truth)[inside].max() < 0.02
    assert np.isnan(positions[between(COLUMNS, fine_target[-1] + 0.51, WIDTH)]).all()


@pytest.mark.parametrize("seed", range(5))
def test_any_surface_stretched_up_to_one_and_a_half_is_free_of_cracks(seed):
    gaps = np.random.default_rng(seed).uniform(0.4, 1.5, WIDTH - 1)
    target = np.concatenate([[0], np.cumsum(gaps)])  # (W,), where each column lands
    moved = COLUMNS - target
    shift = moved.max() - moved.min()
    positions = map_row((moved - moved.min()) / shift, shift)
    target = COLUMNS - (moved - moved.min())
    inside = between(COLUMNS, target[0], target[-1])
    assert np.abs(positions - np.interp(COLUMNS, target, COLUMNS))[inside].max() < 1e-3


STEP = np.where((COLUMNS >= 90) & (COLUMNS < 150), 0.9, 0.1)
"""A near bar, columns 90 to 149, before a far wall."""


def test_an_object_covers_the_wall_on_its_left_and_bares_it_on_its_right():
    positions = map_row(STEP, 12.5)  # the wall moves by 1.25, the bar by 11.25; a pixel reaches half a column around
    bar = (COLUMNS > 89.5 - 11.25) & (COLUMNS < 149.5 - 11.25)
    hole = (COLUMNS > 149.5 - 11.25) & (COLUMNS < 149.5 - 1.25)
    outside = COLUMNS > WIDTH - 0.5 - 1.25
    wall = ~(bar | hole | outside)
    assert np.array_equal(np.isnan(positions), hole | outside)
    np.testing.assert_allclose(positions[bar], np.clip(COLUMNS + 11.25, 90, 149)[bar], atol=1e-4)
    left, right = wall & (COLUMNS < 90), wall & (COLUMNS > 90)
    np.testing.assert_allclose(positions[left], COLUMNS[left] + 1.25, atol=1e-4)
    np.testing.assert_allclose(positions[right], np.clip(COLUMNS + 1.25, 150, WIDTH - 1)[right], atol=1e-4)


def test_a_post_of_one_column_stays_whole():
    disparity = np.full(WIDTH, 0.1)
    disparity[100] = 0.9
    positions = map_row(disparity, 12.5)
    assert (positions == 100).sum() == 1
    assert positions[89] == 100


@pytest.mark.parametrize("soft_columns", [1, 3, 6])
def test_nothing_floats_in_the_hole_beside_a_soft_edge(soft_columns):
    disparity = np.interp(COLUMNS, [119, 120 + soft_columns], [0.9, 0.1])
    positions = map_row(disparity, 30.0)
    assert not between(positions, 119.01, 119.99 + soft_columns).any()
    assert np.isnan(positions[93:118]).all()


def front_most_piece(target: list[float], cell: int) -> float:
    """Return the source position seen at a cell by the definition of ``source_positions``, piece by piece; or NaN."""
    last = len(target) - 1
    gaps = [right - left for left, right in pairwise(target)]
    torn = [False, *(gap > MAX_STRETCH for gap in gaps), False]  # (W + 1,), before and after each sample
    joined = [False, *(0 < gap <= MAX_STRETCH for gap in gaps), False]
    best = math.nan
    for i, x in enumerate(target):
        if not (torn[i] and torn[i + 1]) and math.floor(x + 0.5) == cell and not joined[i if cell < x else i + 1]:
            best = i
        if i < last and joined[i + 1] and x <= cell < target[i + 1]:
            best = i + (cell - x) / gaps[i]
    return best


@pytest.mark.parametrize("strength", [7, 30, 90])
def test_the_front_most_piece_is_seen(strength):
    width = 40
    levels = np.random.default_rng(strength).integers(0, 64, (12, width)) / 64  # exact in float32
    rough, stepped = levels[:6], np.sort(levels[6:].reshape(6, 5, 8), axis=-1).reshape(6, width)
    for disparity in np.concatenate([rough, stepped]):
        moved = torch.from_numpy(disparity).float() * (strength / 100 * width)
        target = (torch.arange(width) - moved).tolist()
        expected = [front_most_piece(target, cell) for cell in range(width)]
        np.testing.assert_allclose(map_row(disparity, strength / 100 * width), expected, atol=1e-4)
