import numpy as np
import pytest

from stereozero.errors import InputError
from stereozero.metrics.matching import MatchParameters, match_views, match_views_both_ways


@pytest.mark.parametrize("size", [(64, 96), (320, 512)])
@pytest.mark.parametrize("pixels", [0.0, 0.3, 1.25, 2.6, -1.7])
def test_a_known_shift_is_found_to_a_quarter_pixel(shifted_views, size, pixels):
    left, right = shifted_views(*size, pixels)
    match = match_views(left, right)
    found = match.disparity[match.valid]
    assert match.valid.mean() > 0.9
    assert np.median(found) == pytest.approx(pixels, abs=0.1)
    assert np.percentile(np.abs(found - pixels), 95) < 0.25


def test_identical_views_have_no_disparity(shifted_views):
    left, _ = shifted_views(64, 96, 0)
    match = match_views(left, left)
    assert np.abs(match.disparity[match.valid]).max() < 0.02


def test_left_target_keeps_the_sign(shifted_views):
    left, right = shifted_views(64, 96, 2.0)
    match = match_views(right, left, "left")
    assert np.nanmedian(match.disparity) == pytest.approx(2.0, abs=0.1)
    # The same point: target column = source column + disparity when the target is the left view.
    assert np.nanmedian(match.target_x - np.arange(96)) == pytest.approx(2.0, abs=0.1)


def test_right_target_column_is_source_column_less_disparity(shifted_views):
    left, right = shifted_views(64, 96, 2.0)
    assert np.nanmedian(match_views(left, right).target_x - np.arange(96)) == pytest.approx(-2.0, abs=0.1)


@pytest.mark.parametrize("side", ["right", "left"])
def test_both_ways_are_two_matchings_to_the_last_bit(shifted_views, side):
    left, right = shifted_views(64, 96, 2.3, frames=2)
    source, target = (left, right) if side == "right" else (right, left)
    there, back = match_views_both_ways(source, target, side)
    other = "left" if side == "right" else "right"
    assert (there.target_side, back.target_side) == (side, other)
    np.testing.assert_array_equal(there.disparity, match_views(source, target, side).disparity)
    np.testing.assert_array_equal(back.disparity, match_views(target, source, other).disparity)


def test_matches_outside_the_other_view_are_invalid(shifted_views):
    left, right = shifted_views(64, 96, 6.0)
    match = match_views(left, right)
    assert match.valid[:, :, :5].mean() < 0.05
    assert match.valid[:, :, 10:-2].mean() > 0.95


def test_occluded_pixels_are_invalid(shifted_views):
    """A square 8 px in front of its background hides 8 columns to its left from the right eye."""
    left, right = shifted_views(96, 160, 0.0)
    square, _ = shifted_views(96, 160, 0.0, seed=5)
    left, right = left.copy(), right.copy()
    left[:, 30:60, 70:100] = square[:, 30:60, 70:100]
    right[:, 30:60, 62:92] = square[:, 30:60, 70:100]
    match = match_views(left, right)
    assert np.nanmedian(match.disparity[0, 33:57, 74:96]) == pytest.approx(8, abs=0.1)
    assert match.valid[0, 33:57, 63:69].mean() < 0.35
    assert match.valid[0, 33:57, 105:150].mean() > 0.95


def test_textureless_views_have_no_match():
    for level in (0, 128):
        flat = np.full((1, 64, 96, 3), level, np.uint8)
        assert not match_views(flat, flat).valid.any()


def test_horizontal_stripes_tell_nothing():
    stripes = np.zeros((1, 64, 96, 3), np.uint8)
    stripes[:, ::4] = 200
    assert not match_views(stripes, stripes).valid.any()


@pytest.mark.parametrize("size", [(64, 96), (320, 512)])
def test_unrelated_views_hardly_match(shifted_views, size):
    first, _ = shifted_views(*size, 0, seed=1)
    second, _ = shifted_views(*size, 0, seed=2)
    assert match_views(first, second).valid.mean() < 0.05


def test_nothing_outside_the_search_range_is_reported(shifted_views):
    left, right = shifted_views(64, 96, 12.0)
    match = match_views(left, right, parameters=MatchParameters(nearest=5, farthest=-5))
    assert match.valid.mean() < 0.2
    wider = match_views(left, shifted_views(64, 96, 4.5)[1], parameters=MatchParameters(nearest=5, farthest=-5))
    assert np.nanmax(np.abs(wider.percent)) <= 5 + 0.6  # refinement may add half a pixel


def test_percent_is_of_the_width(shifted_views):
    left, right = shifted_views(64, 96, 2.4)
    assert np.nanmedian(match_views(left, right).percent) == pytest.approx(2.5, abs=0.1)


def test_each_frame_is_matched_alone(shifted_views):
    left, right = shifted_views(64, 96, 2.0)
    both = match_views(np.concatenate([left, left]), np.concatenate([left, right]))
    np.testing.assert_array_equal(both.disparity[1], match_views(left, right).disparity[0])


def test_bad_input_is_named(shifted_views):
    left, right = shifted_views(64, 96, 0)
    with pytest.raises(InputError, match="target: shape"):
        match_views(left, right[:, :, :90])
    with pytest.raises(InputError, match="target side: 'both'"):
        match_views(left, right, "both")
    with pytest.raises(InputError, match="at least 16"):
        match_views(left[:, :15], right[:, :15])
