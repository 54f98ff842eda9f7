import math

import cv2
import numpy as np
import pytest

from stereozero.metrics.siou import (
    frame_siou,
    frame_siou_released,
    intersection_over_union,
    measure_masked_siou,
    measure_siou,
)


@pytest.fixture
def blocks():
    """Source, target (shifted by 3 px) and truth (by 5 px) of a picture of coloured blocks, (64, 96, 3) each."""
    colours = np.random.RandomState(3).randint(0, 256, (8, 16, 3)).astype(np.uint8)
    picture = cv2.resize(colours, (108, 64), interpolation=cv2.INTER_NEAREST)
    return tuple(np.ascontiguousarray(picture[:, x : x + 96]) for x in (0, 3, 5))


def square(level, left, size=8, background=0):
    frame = np.full((32, 48, 3), background, np.uint8)
    frame[12 : 12 + size, left : left + size] = level
    return frame


def test_difference_part_by_hand():
    source, target, truth = square(0, 8), square(200, 20), square(200, 24)
    # Both changed areas are 8 x 8, and 8 x 4 of them is common.
    assert frame_siou(source, target, truth).difference == pytest.approx(32 / 96)


def test_difference_threshold_is_above_five_levels():
    source, faint, clear = square(0, 8), square(5, 20), square(6, 20)
    assert frame_siou(source, faint, clear).difference == 0
    assert frame_siou(source, clear, clear).difference == 1


def test_darker_is_a_difference_without_wrap_around():
    source = square(0, 8, background=100)
    slightly_darker = square(97, 20, background=100)
    slightly_darker[12:20, 8:16] = 0
    assert math.isnan(frame_siou(source, slightly_darker, slightly_darker).difference)


def test_weights():
    source, target, truth = square(0, 8), square(200, 20), square(200, 24)
    siou, edges, difference = frame_siou(source, target, truth)
    assert 0 < edges < 1
    assert siou == pytest.approx(0.75 * edges + 0.25 * difference)


def test_released_variant_matches_the_released_code(blocks, coloured_frame):
    # Made by the released formulae (8-bit wrap-around, BGR weights on RGB), run apart from this package.
    assert frame_siou_released(*blocks) == pytest.approx(0.2800801373783629, abs=1e-12)
    a, b = coloured_frame(64, 96)
    assert frame_siou_released(a, b, np.roll(a, 2, axis=1)) == pytest.approx(0.2924833075944767, abs=1e-12)


def test_perfect_target_scores_one_and_copy_of_the_source_loses_the_difference_part(blocks):
    source, _, truth = (frame[None] for frame in blocks)
    perfect = measure_siou(source, truth, truth).clip
    copy = measure_siou(source, source, truth).clip
    assert perfect["siou"] == 1
    assert copy["siou_difference"] == 0
    assert copy["siou"] == pytest.approx(0.75 * copy["siou_edges"])
    assert copy["siou"] < 0.3


def test_nothing_to_compare_is_undefined_not_perfect():
    black = np.zeros((2, 32, 48, 3), np.uint8)
    result = measure_siou(black, black, black)
    assert set(result.clip.values()) == {None}
    assert "siou_edges: undefined in 2 of 2 frames (neither view has an edge there)" in result.notes


def test_undefined_frames_do_not_weigh(blocks):
    source, target, truth = (np.stack([frame, np.zeros_like(frame)]) for frame in blocks)
    result = measure_siou(source, target, truth)
    assert result.per_frame["siou"][1] is None
    assert result.clip["siou"] == result.per_frame["siou"][0]


def test_mask_limits_what_counts(blocks):
    source, target, truth = (frame[None] for frame in blocks)
    half_right = target.copy()
    half_right[:, :, 48:] = truth[:, :, 48:]
    mask = np.zeros((1, 64, 96), bool)
    mask[:, :, 52:] = True  # away from the seam, whose edge is the target's own
    assert measure_masked_siou(source, half_right, truth, mask).clip["siou_masked"] == 1
    assert measure_masked_siou(source, half_right, truth, ~mask).clip["siou_masked"] < 0.5
    everything = measure_masked_siou(source, target, truth, np.ones_like(mask)).clip
    assert everything["siou_masked"] == measure_siou(source, target, truth).clip["siou"]


def test_intersection_over_union():
    a, b = np.array([True, True, False]), np.array([False, True, True])
    assert intersection_over_union(a, b) == pytest.approx(1 / 3)
    assert math.isnan(intersection_over_union(a & False, b & False))
