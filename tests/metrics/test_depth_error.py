import numpy as np
import pytest

from stereozero.metrics.depth_error import align, relative_error

DEPTH = np.random.default_rng(0).uniform(1, 5, (2, 8, 12))


def test_scale_and_shift_do_not_count():
    assert relative_error(3 / DEPTH + 7, DEPTH) == pytest.approx(0, abs=1e-12)


def test_a_flat_disparity_is_as_wrong_as_the_mean():
    truth = 1 / DEPTH
    expected = (np.abs(truth.mean() - truth) / truth).mean()
    assert relative_error(np.full_like(DEPTH, 0.3), DEPTH) == pytest.approx(expected)


def test_one_wrong_pixel_counts_with_its_share():
    disparity = 1 / DEPTH
    disparity[0, 0, 0] *= 1.01
    assert 0 < relative_error(disparity, DEPTH) < 0.01 / DEPTH.size * 3


def test_alignment_is_over_the_whole_clip():
    truth = np.stack([np.linspace(0, 1, 12).reshape(3, 4), np.linspace(1, 2, 12).reshape(3, 4)])
    np.testing.assert_allclose(align(2 * truth - 5, truth), truth, atol=1e-12)
    shifted_frame = truth + np.array([0, 1]).reshape(2, 1, 1)
    assert np.abs(align(shifted_frame, truth) - truth).max() > 0.05
