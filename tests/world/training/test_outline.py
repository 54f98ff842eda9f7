"""Outlines cut out by colour and laid over each other."""

import cv2
import numpy as np
import pytest

from stereozero.world.training.outline import has_colour, largest_part, overlap

CORNERS = np.array([[0.0, -1.0], [0.87, 0.5], [-0.87, 0.5]])  # of an equilateral triangle


def drawn(corners: np.ndarray, size: float, at: tuple[float, float], degrees: float = 0.0) -> np.ndarray:
    """Return a polygon as (64, 96) bool."""
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = np.round(corners @ turn.T * size + at).astype(np.int32)
    return cv2.fillPoly(np.zeros((64, 96), np.uint8), [points], 1).astype(bool)


def disc(size: int) -> np.ndarray:
    return cv2.circle(np.zeros((64, 96), np.uint8), (40, 30), size, 1, -1).astype(bool)


def test_place_size_and_turn_change_nothing():
    assert overlap(drawn(CORNERS, 16, (30, 30)), drawn(CORNERS, 24, (60, 34), 40)) > 0.93


def test_another_shape_fits_less():
    triangle = drawn(CORNERS, 16, (30, 30))
    assert 0.6 < overlap(triangle, disc(12)) < 0.75
    assert overlap(triangle, np.roll(np.eye(64, 96, dtype=bool), 3, axis=1)) < 0.5


def test_nothing_fits_nothing():
    assert overlap(disc(5), np.zeros((64, 96), bool)) == 0


def test_the_largest_part_is_kept_with_small_gaps_closed():
    mask = disc(9)
    mask[:, 40] = False  # a line that parts it
    mask[2:4, 90:92] = True
    assert largest_part(mask).sum() == pytest.approx(disc(9).sum(), rel=0.03)
    assert not largest_part(mask)[:8].any()
    assert not largest_part(np.zeros((8, 8), bool)).any()


def test_a_colour_is_found_where_it_is_about_right():
    frame = np.zeros((4, 6, 3), np.uint8)
    frame[1, 2] = [220, 10, 30]
    assert np.argwhere(has_colour(frame, np.array([200, 0, 0]))).tolist() == [[1, 2]]
