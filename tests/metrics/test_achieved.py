"""How much of the disparity asked for was achieved, and the score that takes it into account."""

import numpy as np
import pytest

from stereozero.errors import InputError
from stereozero.metrics.achieved import measure_achieved, stereo_score
from stereozero.metrics.clip_pair import ClipPair


@pytest.fixture
def two_depths(shifted_views):
    """Return a maker of views whose upper half is in the plane of the screen and whose lower half is nearer."""

    def make(pixels: float) -> tuple[np.ndarray, np.ndarray]:
        far, _ = shifted_views(32, 96, 0.0, frames=2)
        left, right = shifted_views(32, 96, pixels, frames=2, seed=1)
        return np.concatenate([far, left], axis=1), np.concatenate([far, right], axis=1)

    return make


def kept(pair: ClipPair) -> float:
    return measure_achieved(pair).clip["disparity_kept"]


def test_the_range_counts_and_not_a_shift_of_everything(two_depths, shifted_views):
    left, right = two_depths(1.92)  # 2 % of 96 px
    assert kept(ClipPair(left, right, strength=2.0)) == pytest.approx(100, abs=5)
    assert kept(ClipPair(left, right, strength=4.0)) == pytest.approx(50, abs=5)
    assert kept(ClipPair(left, np.roll(right, 2, axis=2), strength=4.0)) == pytest.approx(50, abs=5)
    assert kept(ClipPair(*shifted_views(64, 96, 2.88), strength=3.0)) < 10
    assert kept(ClipPair(left, left, strength=4.0)) < 1


def test_more_than_asked_for_is_no_more_than_all_of_it(two_depths):
    assert kept(ClipPair(*two_depths(3.84), strength=2.0)) == 100


def test_where_nothing_matches_nothing_was_achieved_but_a_blank_source_decides_nothing(shifted_views):
    left, _ = shifted_views(64, 96, 0.0, frames=2)
    blank = np.zeros_like(left)
    failed = measure_achieved(ClipPair(left, blank, strength=4.0))
    assert failed.clip == {"disparity_kept": 0.0}
    assert failed.notes == ["disparity_kept: 0, because no pixel of the source could be found in the target"]
    empty = measure_achieved(ClipPair(blank, left, strength=4.0))
    assert empty.clip == {"disparity_kept": None}
    assert empty.notes == ["disparity_kept: undefined in 2 of 2 frames (the source is of one colour)"]


def test_met3r_counts_for_the_share_of_the_disparity_that_is_there():
    assert stereo_score(0.0, 0.0) == 0  # a copy of the source
    assert stereo_score(10.0, 50.0) == 45
    assert stereo_score(0.0, 100.0) == 100
    assert stereo_score(150.0, 100.0) == 0
    assert stereo_score(None, 50.0) is None
    assert stereo_score(10.0, None) is None


def test_a_strength_that_is_none_is_refused(shifted_views):
    with pytest.raises(InputError, match=r"strength: -4.0 is out of range; .* above 0 to 100 percent of width"):
        ClipPair(*shifted_views(64, 96, 1.0), strength=-4.0)
