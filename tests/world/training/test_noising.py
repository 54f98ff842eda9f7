import numpy as np
import pytest
import torch

from stereozero.world.training.data import step_rng
from stereozero.world.training.noising import guess_of, noised, spread_times
from stereozero.world.training.unet import VARIANT

SCHEDULE = VARIANT.noise_schedule()


def test_times_cover_the_range():
    times = spread_times(step_rng(0, 3), 4, 1000)
    assert sorted(times // 250) == [0, 1, 2, 3]


def test_velocities_lead_to_the_latents_whatever_is_shown():
    latents, guess = torch.randn(2, 4, 4, 8, 2, 3)  # (B, C, F, h, w) each
    times = np.array([999, 650, 200, 20])
    for shown in (latents, guess):
        noisy, velocity = noised(shown, latents, times, SCHEDULE)
        torch.testing.assert_close(guess_of(velocity, noisy, times, SCHEDULE), latents, rtol=1e-3, atol=1e-3)


def test_noise_is_added_to_what_is_shown():
    guess = torch.ones(2, 4, 8, 16, 24)
    noisy, _ = noised(guess, torch.zeros_like(guess), np.array([0, 999]), SCHEDULE)
    assert noisy[0].mean().item() == pytest.approx(1, abs=0.01)
    assert noisy[1].mean().item() == pytest.approx(0, abs=0.05)
    assert noisy[1].std().item() == pytest.approx(1, abs=0.05)
