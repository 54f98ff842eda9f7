"""Trajectories of videos that no model made: what their latents could have been on the way from noise.

Two ways: the forward process with one fixed noise, which costs nothing, and DDIM inversion, which evaluates the network
once a step and gives a noise that leads back to the video.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from stereozero.diffusion.backbone import Backbone, Conditioning
from stereozero.diffusion.schedule import DdimSchedule, NoiseSchedule, add_noise, clean_and_epsilon


def noised_trajectory(clean: Tensor, noise: Tensor, schedule: DdimSchedule) -> Tensor:
    """Carry x_0 to the level of every step with one noise (forward process).

    Args:
        clean: (C, F, h, w) latents of the video.
        noise: (C, F, h, w) standard normal.
        schedule: S steps.

    Returns:
        (S + 1, C, F, h, w); entry i is at the level before step i, the last is ``clean``.
    """
    levels = zip(schedule.scale.tolist(), schedule.alpha_bar.tolist(), strict=True)
    return torch.stack([*(add_noise(clean * scale, noise, alpha_bar) for scale, alpha_bar in levels), clean])


def inverted_steps(
    backbone: Backbone, conditioning: Conditioning, training: NoiseSchedule, schedule: DdimSchedule, clean: Tensor
) -> Iterator[Tensor]:
    """Go the deterministic DDIM steps backwards (arXiv 2010.02502, section 4.3), without guidance.

    Each step assumes that the network predicts the same at both of its ends.

    Args:
        backbone: the model.
        conditioning: of one clip.
        training: the model's schedule, for the level of x_0.
        schedule: S steps; their eta is not used.
        clean: (C, F, h, w) latents of the video.

    Yields:
        (C, F, h, w) at the level before step S - 1, S - 2, ... 0: the reverse of a trajectory, without its end.
    """
    latents, timestep, alpha_bar, scale = clean, 0, training.final_alpha_bar, 1.0
    for step in reversed(range(len(schedule))):
        prediction = backbone.predict(latents[None], timestep, conditioning)[0]  # (C, F, h, w)
        x_0, epsilon = clean_and_epsilon(prediction, latents, alpha_bar, schedule.prediction)
        x_0 = x_0 * (float(schedule.scale[step]) / scale)
        timestep, alpha_bar = int(schedule.timesteps[step]), float(schedule.alpha_bar[step])
        scale = float(schedule.scale[step])
        latents = add_noise(x_0, epsilon, alpha_bar)  # (C, F, h, w)
        yield latents
