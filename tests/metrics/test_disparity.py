import numpy as np
import pytest

from stereozero.errors import InputError
from stereozero.metrics.disparity import (
    SWAPPED_EYES,
    eyes_look_swapped,
    measure_disparity,
    measure_disparity_error,
)


def test_percentiles_of_a_known_shift(shifted_views):
    left, right = shifted_views(64, 96, 2.4, frames=2)
    result = measure_disparity(left, right)
    assert result.clip["disparity_p50"] == pytest.approx(2.5, abs=0.1)
    assert result.clip["disparity_p01"] == pytest.approx(2.5, abs=0.5)
    assert result.clip["disparity_p99"] == pytest.approx(2.5, abs=0.5)
    values = [result.clip[f"disparity_{name}"] for name in ("min", "p01", "p50", "p99", "max")]
    assert values == sorted(values)
    assert result.clip["disparity_valid"] > 90
    assert result.per_frame["disparity_p50"] == [result.per_frame["disparity_p50"][0]] * 2


def test_clip_percentiles_pool_all_frames(shifted_views):
    left, right = shifted_views(64, 96, 3.0)
    result = measure_disparity(np.concatenate([left, left]), np.concatenate([left, right]))
    assert result.per_frame["disparity_p50"] == pytest.approx([0, 3.125], abs=0.1)
    assert result.clip["disparity_p01"] == pytest.approx(0, abs=0.1)
    assert result.clip["disparity_p99"] == pytest.approx(3.125, abs=0.3)


def test_error_against_the_truth(shifted_views):
    left, right = shifted_views(64, 96, 1.92)
    truth = np.full((1, 64, 96), 2.0)  # percent of width
    good = measure_disparity_error(left, right, truth).clip
    assert good["disparity_error_mean"] < 0.1
    assert good["disparity_error_median"] < 0.1
    assert good["disparity_bad"] < 1
    copy = measure_disparity_error(left, left, truth).clip
    assert copy["disparity_error_mean"] == pytest.approx(2.0, abs=0.02)
    assert copy["disparity_bad"] == 100


def test_one_pixel_is_the_limit_of_a_bad_match(shifted_views):
    left, _ = shifted_views(64, 96, 0)
    for pixels, share in ((0.9, 0), (1.1, 100)):
        truth = np.full((1, 64, 96), 100 * pixels / 96)
        assert measure_disparity_error(left, left, truth).clip["disparity_bad"] == share


def test_unknown_truth_is_left_out(shifted_views):
    left, right = shifted_views(64, 96, 1.92)
    truth = np.full((1, 64, 96), np.nan)
    result = measure_disparity_error(left, right, truth)
    assert set(result.clip.values()) == {None}
    truth[:, :, 40:] = 2.0
    assert measure_disparity_error(left, right, truth).clip["disparity_error_mean"] < 0.1


def test_black_views_are_undefined_with_a_reason():
    black = np.zeros((2, 64, 96, 3), np.uint8)
    result = measure_disparity(black, black)
    assert result.clip["disparity_valid"] == 0
    assert result.clip["disparity_p50"] is None
    assert "undefined in 2 of 2 frames (no pixel could be matched: no texture" in result.notes[0]


def test_disparities_at_the_end_of_the_range_are_pointed_out(shifted_views):
    left, right = shifted_views(64, 96, 9.4)
    assert any("end of the search range (-10 to 10 percent" in text for text in measure_disparity(left, right).notes)
    left, right = shifted_views(64, 96, 4.0)
    assert measure_disparity(left, right).notes == []


def test_wrong_truth_is_named(shifted_views):
    left, right = shifted_views(64, 96, 1.0)
    with pytest.raises(InputError, match="true disparity: shape"):
        measure_disparity_error(left, right, np.zeros((1, 64, 95)))


def test_swapped_eyes_are_noticed_and_a_convergence_shift_is_not_taken_for_them(shifted_views):
    left, right = shifted_views(64, 96, 2.0)
    there, back, copy = (measure_disparity(*views) for views in ((left, right), (right, left), (left, left)))
    assert not any(SWAPPED_EYES in remark for remark in there.notes + copy.notes)
    assert any(remark.endswith(SWAPPED_EYES) for remark in back.notes)
    assert eyes_look_swapped(-0.2, 4.0) is False
    assert eyes_look_swapped(-4.0, 0.4) is True
    assert eyes_look_swapped(-2.67, 1.33) is False  # two thirds of the range behind the screen
    assert eyes_look_swapped(-0.2, 0.3) is None
    assert eyes_look_swapped(None, None) is None
    assert eyes_look_swapped(float("nan"), 1.0) is None
