"""Errors of guessed latents as they are seen: those of the frames that the VAE decodes them to.

Latents tell a thing's details by small differences. To the eye these are as large as any, but in the latents' mean
squared error they hardly count.
"""

import numpy as np
import torch
import torch.nn.functional as nnf
from diffusers import AutoencoderKL
from torch import Tensor

from stereozero.world.training.vae import picture_errors


def seen_errors(
    vae: AutoencoderKL, guess: Tensor, true: Tensor, weights: Tensor, rng: np.random.Generator
) -> dict[str, Tensor]:
    """Return errors of two successive frames of each clip, random ones, against what the true latents decode to.

    Args:
        vae: decodes; gradients go through it to the guess.
        guess, true: (B, C, F, h, w) latents, scaled; the true ones without gradients.
        weights: (B, F, h, w) what errors in each cell count.
        rng: draws the frames.

    Returns:
        "pixels" and "edges" as :func:`~stereozero.world.training.vae.picture_errors` gives them, and "flicker", the
        mean absolute change of the error from the one frame to the other; scalars, of frames in [-1, 1].
    """
    starts = rng.integers(guess.shape[2] - 1, size=len(guess))  # (B,)
    guessed, wanted = (_decoded(vae, _pairs(latents.transpose(1, 2), starts)) for latents in (guess, true))
    cells = _pairs(weights, starts).flatten(0, 1)[:, None]  # (2 B, 1, h, w)
    errors = picture_errors(guessed, wanted, nnf.interpolate(cells, guessed.shape[-2:]))
    return errors | {"flicker": (guessed - wanted).unflatten(0, (-1, 2)).diff(dim=1).abs().mean()}


def _pairs(clips: Tensor, starts: np.ndarray) -> Tensor:
    # Two frames of each of (B, F, ...): (B, 2, ...)
    return torch.stack([clip[start : start + 2] for clip, start in zip(clips, starts, strict=True)])


def _decoded(vae: AutoencoderKL, latents: Tensor) -> Tensor:
    # (B, 2, C, h, w) -> (2 B, 3, H, W)
    return vae.decode(latents.flatten(0, 1) / vae.config.scaling_factor).sample.float()
