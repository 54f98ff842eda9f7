"""How well a generator tells what noisy latents show: errors of its guess of the clean ones, by noise level.

They say at which level shapes get lost: one that reads movement from noisy latents guesses better the less noise there
is, long before the noise is so low that nothing is left to tell.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from stereozero.backbones.dynamicrafter import DynamiCrafter
from stereozero.diffusion.backbone import ClipRequest, Conditioning
from stereozero.diffusion.noise import batched_noise
from stereozero.diffusion.schedule import add_noise, clean_and_epsilon
from stereozero.world.geometry import View
from stereozero.world.renderer import layer_ids
from stereozero.world.training.data import ClipPool, scene_of, to_pixels

TIMESTEPS = (999, 800, 650, 400, 200)
"""Where the guess is measured; the first is pure noise."""

_BATCH = 8  # clips at a time


@torch.no_grad()
def guess_errors(backbone: DynamiCrafter, pool: ClipPool, clips: Sequence[int]) -> dict[str, dict[str, float]]:
    """Return the errors of guesses of rendered clips, with noise added to their true latents, without guidance.

    Args:
        backbone: the generator.
        pool: the clips.
        clips: their places in it; each gets noise of its own, always the same.

    Returns:
        "main" and "all" -> timestep -> mean squared error where the main object is seen, and everywhere, over the
        latents' mean square. The first frame, which is given, is left out.
    """
    videos = pool.videos[clips, : backbone.frames]  # (B, F, H, W, 3) uint8
    pixels = to_pixels(np.concatenate(videos)).unflatten(0, videos.shape[:2]) / 2 + 0.5  # (B, F, 3, H, W)
    requests = [
        ClipRequest(pool.captions[clip], seed=clip, image=one[0]) for clip, one in zip(clips, pixels, strict=True)
    ]
    conditions = backbone.encode_conditioning(requests).conditional
    clean = backbone.encode_video(pixels, clips)  # (B, C, F, h, w)
    noise = batched_noise(clean.shape[1:], clips, "guess", device=clean.device)  # (B, C, F, h, w)
    seen = np.stack([_main_seen(pool, clip, clean.shape[2:]) for clip in clips])  # (B, F, h, w)
    where = {"main": torch.from_numpy(seen)[:, 1:], "all": torch.ones(seen.shape, dtype=torch.bool)[:, 1:]}
    errors: dict[str, dict[str, float]] = {name: {} for name in where}
    for timestep in TIMESTEPS:
        wrong = (_guess(backbone, clean, noise, timestep, conditions) - clean).square().mean(dim=1)[:, 1:]
        for name, cells in where.items():
            errors[name][str(timestep)] = float(wrong.cpu()[cells].mean() / clean.square().mean())
    return errors


def _guess(backbone: DynamiCrafter, clean: Tensor, noise: Tensor, timestep: int, conditions: Conditioning) -> Tensor:
    alpha_bar, scale = (float(values[timestep]) for values in (backbone.schedule.alpha_bar, backbone.schedule.scale))
    noisy = add_noise(clean * scale, noise, alpha_bar)  # (B, C, F, h, w)
    parts = zip(noisy.split(_BATCH), _split(conditions), strict=True)
    prediction = torch.cat([backbone.predict(some, timestep, their) for some, their in parts])  # (B, C, F, h, w)
    return clean_and_epsilon(prediction, noisy, alpha_bar, backbone.schedule.prediction)[0] / scale


def _split(conditions: Conditioning) -> list[Conditioning]:
    parts = {name: tensor.split(_BATCH) for name, tensor in conditions.tensors.items()}
    return [Conditioning(dict(zip(parts, some, strict=True))) for some in zip(*parts.values(), strict=True)]


def _main_seen(pool: ClipPool, clip: int, shape: Sequence[int]) -> np.ndarray:
    # At which cells of F frames of h x w, of a clip's first frames, the main object is seen: (F, h, w) bool.
    frames, height, width = shape
    scene = scene_of(pool.settings, clip)
    return layer_ids(View(scene, pool.settings.frames, height, width))[:frames] == scene.main
