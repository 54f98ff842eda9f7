"""Noisy latents to train a network on, and the velocities that it should return for them."""

import numpy as np
import torch
from torch import Tensor

from stereozero.diffusion.schedule import NoiseSchedule, add_noise, velocity_target


def spread_times(rng: np.random.Generator, count: int, train_steps: int) -> np.ndarray:
    """Return random timesteps (count,) that cover the range evenly, so that one step's loss varies less."""
    positions = (rng.random() + np.arange(count) / count) % 1
    return (positions * train_steps).astype(np.int64)


def noised(shown: Tensor, latents: Tensor, times: np.ndarray, schedule: NoiseSchedule) -> tuple[Tensor, Tensor]:
    """Return what is shown with noise added, and the velocity that tells the latents from there.

    Args:
        shown: (B, C, F, h, w) the latents themselves or, to be mended, a guess of them.
        latents: (B, C, F, h, w) clean ones.
        times: (B,) timesteps.
        schedule: whose timesteps these are; its prediction is "v_prediction".

    Returns:
        (B, C, F, h, w) each. All in the noisy latents that is not the clean ones is told as noise, the guess's errors
        too: they become the larger in the velocity, the lower the noise is.
    """
    scale, alpha_bar = _scale(times, schedule, latents), _alpha_bar(times, schedule, latents)
    noise = torch.randn_like(latents)
    noisy = add_noise(shown * scale, noise, alpha_bar)
    signal_to_noise = (alpha_bar / (1 - alpha_bar)).sqrt()[:, None, None, None, None]
    return noisy, velocity_target(latents * scale, noise + signal_to_noise * scale * (shown - latents), alpha_bar)


def guess_of(velocity: Tensor, noisy: Tensor, times: np.ndarray, schedule: NoiseSchedule) -> Tensor:
    """Return the clean latents (B, C, F, h, w) that a velocity tells of noisy ones, the inverse of :func:`noised`."""
    # Velocity and noisy latents are noise and clean ones, rotated; to rotate once more the same way turns them back.
    guess = velocity_target(velocity, noisy, _alpha_bar(times, schedule, noisy))
    return guess / _scale(times, schedule, noisy)


def _alpha_bar(times: np.ndarray, schedule: NoiseSchedule, like: Tensor) -> Tensor:
    return torch.from_numpy(schedule.alpha_bar[times]).to(like.device)  # (B,)


def _scale(times: np.ndarray, schedule: NoiseSchedule, like: Tensor) -> Tensor:
    return torch.from_numpy(schedule.scale[times]).to(like.device)[:, None, None, None, None]  # (B, 1, 1, 1, 1)
