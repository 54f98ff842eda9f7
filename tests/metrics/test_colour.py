import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from stereozero.metrics.colour import measure_colour


def tinted(video, factors):
    return np.clip(video * np.array(factors), 0, 255).round().astype(np.uint8)


def test_identical_views_have_no_difference(shifted_views):
    left, _ = shifted_views(64, 96, 0)
    clip = measure_colour(left, left).clip
    assert clip == {name: pytest.approx(0, abs=0.01) for name in clip}


def test_a_pure_shift_is_no_colour_difference(shifted_views):
    left, right = shifted_views(64, 96, 2.0)
    clip = measure_colour(left, right).clip
    assert clip["colour_mean"] < 0.1
    assert clip["colour_matched"] < 0.3


def test_constant_colours_give_the_known_difference():
    left = np.full((1, 32, 48, 3), 90, np.uint8)
    right = np.full((1, 32, 48, 3), 130, np.uint8)
    result = measure_colour(left, right)
    lab = [rgb2lab(np.full((1, 1, 3), level, np.uint8))[0, 0] for level in (90, 130)]
    assert result.clip["colour_mean"] == pytest.approx(float(deltaE_ciede2000(*lab)), abs=1e-3)
    assert result.clip["colour_lightness"] == pytest.approx(lab[1][0] - lab[0][0], abs=1e-6)
    assert result.clip["colour_contrast"] == pytest.approx(0, abs=1e-6)
    assert result.clip["colour_matched"] is None
    assert result.notes == ["colour_matched: undefined in 1 of 1 frames (no pixel could be matched)"]


def test_signs(shifted_views):
    left, right = shifted_views(64, 96, 2.0)
    darker_flatter = measure_colour(left, tinted(right, (0.8, 0.8, 0.8))).clip
    assert darker_flatter["colour_lightness"] < -5
    assert darker_flatter["colour_contrast"] < -1
    redder = measure_colour(left, tinted(right, (1.1, 0.9, 0.9))).clip
    assert redder["colour_chroma"] > 5


def test_matched_pixels_see_a_tint_beside_parallax(shifted_views):
    left, right = shifted_views(64, 96, 3.0)
    clip = measure_colour(left, tinted(right, (1.0, 1.0, 0.8))).clip
    plain = measure_colour(left, right).clip
    assert clip["colour_matched"] > plain["colour_matched"] + 3


def test_left_target_is_sampled_on_the_right_side(shifted_views):
    left, right = shifted_views(64, 96, 3.0)
    assert measure_colour(right, left, "left").clip["colour_matched"] < 0.3
