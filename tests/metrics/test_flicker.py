import numpy as np
import pytest

from stereozero.errors import InputError
from stereozero.metrics.flicker import measure_flicker


@pytest.fixture
def moving(shifted_views):
    """A picture that moves to the left by 1.5 px a frame."""
    return np.concatenate([shifted_views(64, 96, 1.5 * frame)[1] for frame in range(4)])


def brightness_steps(video, levels):
    offset = np.where(np.arange(len(video)) % 2, levels, -levels)[:, None, None, None]
    return np.clip(video.astype(int) + offset, 0, 255).astype(np.uint8)


def test_motion_is_no_flicker(moving):
    clip = measure_flicker(moving, moving).clip
    change = np.abs(np.diff(moving.astype(int), axis=0)).mean()
    assert clip["flicker_excess"] == 0
    assert clip["flicker_target"] < 0.1 * change
    assert clip["flicker_followed"] > 85


def test_brightness_flicker_is_measured_in_levels(moving):
    flat = (moving // 2 + 64).astype(np.uint8)  # away from 0 and 255
    clip = measure_flicker(flat, brightness_steps(flat, 4)).clip
    assert clip["flicker_excess"] == pytest.approx(8, abs=1)


def test_direction_of_the_excess(moving):
    steady, flickering = moving, brightness_steps(moving, 3)
    assert measure_flicker(flickering, steady).clip["flicker_excess"] < -4


def test_noise_is_flicker(moving):
    noise = np.random.RandomState(0).randn(*moving.shape) * 5
    noisy = np.clip(moving + noise, 0, 255).astype(np.uint8)
    assert measure_flicker(moving, noisy).clip["flicker_excess"] > 3


def test_the_first_frame_has_no_value(moving):
    result = measure_flicker(moving, moving)
    for values in result.per_frame.values():
        assert values[0] is None
        assert None not in values[1:]
    assert result.clip["flicker_target"] == pytest.approx(np.mean(result.per_frame["flicker_target"][1:]))


def test_one_frame_is_undefined_with_a_reason(moving):
    result = measure_flicker(moving[:1], moving[:1])
    assert set(result.clip.values()) == {None}
    assert "at least two are needed" in result.notes[0]


def test_black_views_are_steady():
    black = np.zeros((3, 64, 96, 3), np.uint8)
    assert measure_flicker(black, black).clip["flicker_target"] == 0


def test_small_frames_are_refused(moving):
    with pytest.raises(InputError, match="at least 32"):
        measure_flicker(moving[:, :31], moving[:, :31])
