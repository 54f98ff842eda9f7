"""Noise levels and steps of Stable Video Diffusion's sampler: Karras' sigmas, v-prediction, Euler (arXiv 2206.00364).

A latent at level sigma is clean + sigma * noise. The network sees it scaled to unit variance and predicts a velocity.
"""

from dataclasses import dataclass

import torch
from diffusers import EulerDiscreteScheduler
from torch import Tensor

from stereozero.errors import InputError


@dataclass(frozen=True, eq=False)
class NoiseLevels:
    """A schedule of S steps.

    Attributes:
        sigmas: (S + 1,) float32, falling to 0.
        timesteps: (S,) float32, what the network is told: log(sigma) / 4.
        initial: standard deviation of the latents that sampling starts from.
    """

    sigmas: Tensor
    timesteps: Tensor
    initial: float

    def __len__(self) -> int:
        return len(self.timesteps)


def noise_levels(scheduler: EulerDiscreteScheduler, steps: int) -> NoiseLevels:
    """Return the levels that a scheduler's configuration has for a number of steps; the scheduler stays as it is."""
    own = EulerDiscreteScheduler.from_config(scheduler.config)
    own.set_timesteps(steps)
    return NoiseLevels(own.sigmas.float(), own.timesteps.float(), float(own.init_noise_sigma))


def check_scheduler(scheduler: EulerDiscreteScheduler, where: str) -> None:
    """Raise InputError unless a scheduler is of the kind that this module computes."""
    wanted = {"prediction_type": "v_prediction", "timestep_type": "continuous", "use_karras_sigmas": True}
    wrong = {name: scheduler.config.get(name) for name, value in wanted.items() if scheduler.config.get(name) != value}
    if wrong:
        raise InputError(f"{where}: the scheduler has {wrong}; Stable Video Diffusion's, with {wanted}, is right")


def scaled_input(latents: Tensor, sigma: Tensor) -> Tensor:
    """Return latents at level ``sigma`` as the network takes them, with unit variance."""
    return latents / (sigma**2 + 1).sqrt()


def predicted_clean(latents: Tensor, velocity: Tensor, sigma: Tensor) -> Tensor:
    """Return the clean latents that a velocity, predicted at level ``sigma``, stands for."""
    return latents / (sigma**2 + 1) - velocity * sigma / (sigma**2 + 1).sqrt()


def velocity_target(clean: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    """Return the velocity from which :func:`predicted_clean` finds ``clean`` in ``clean + sigma * noise``."""
    return (noise - sigma * clean) / (sigma**2 + 1).sqrt()


def euler_step(latents: Tensor, clean: Tensor, sigma: Tensor, next_sigma: Tensor) -> Tensor:
    """Move latents from one level to the next, straight towards (or away from) the predicted clean ones."""
    return latents + (latents - clean) / sigma * (next_sigma - sigma)


def guide(conditional: Tensor, unconditional: Tensor, guidance: float) -> Tensor:
    """Return the prediction of classifier-free guidance; a guidance of 1 is the conditional one."""
    return torch.lerp(unconditional, conditional, guidance)
