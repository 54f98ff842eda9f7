"""Training of the embedded depth model: DepthCrafter's networks, small, on rendered clips with their true disparity.

As DepthCrafter is trained: the U-Net denoises the latents of the depth video, told the video's latents and each frame's
CLIP embedding; v-prediction with Stable Video Diffusion's preconditioning (Karras et al., arXiv 2206.00364). Unlike
there, noise levels are spread evenly on a logarithmic scale up to the first one of the sampler, since a sampler of five
steps spends most of them at high levels; and the image encoder is trained along.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLTemporalDecoder, EulerDiscreteScheduler
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from stereozero.backbones.clip_image import prepare_image
from stereozero.depth.denoising import scaled_input, velocity_target
from stereozero.depth.depthcrafter import DepthCrafter, DepthCrafterNetworks, DepthCrafterSettings
from stereozero.depth.framewise_unet import FramewiseUNet
from stereozero.world.training.data import step_rng
from stereozero.world.training.depth_data import DepthClips, draw_depth_clips
from stereozero.world.training.loop import Optimisation
from stereozero.world.training.precision import autocast

SAMPLING = DepthCrafterSettings(guidance=1.0, window=16, overlap=4)
"""How the embedded model is sampled; it knows no windows of more than 16 frames."""


@dataclass(frozen=True)
class DepthSettings:
    """Choices of the U-Net, the image encoder and their training.

    Attributes:
        widths: channels of each of the U-Net's levels, multiples of 32 (the class normalises in 32 groups).
        attention: whether a level has transformers, beside those in the middle.
        heads: attention heads of each level.
        image_size, patch_size: of the image encoder [px].
        image_width, image_layers, image_heads: of the image encoder.
        context: width of a frame's CLIP embedding.
        frames: shortest and longest clip; 3 or more, see ``DepthVaeSettings.chunk``.
        batch: clips a step.
        levels: noise levels at which each clip is seen; coding a clip takes as long as the U-Net takes for it.
        simple_share: share of simple scenes; the others are complex ones.
        sigmas: lowest and highest noise level.
        no_condition: share of clips without video latents and embeddings, for guidance.
        bfloat16: compute in bfloat16 where that is safe, on a device that is fast at it.
        how: the descent.
    """

    widths: tuple[int, ...] = (32, 32, 64)
    attention: tuple[bool, ...] = (False, True, False)
    heads: tuple[int, ...] = (2, 2, 4)
    image_size: int = 64
    patch_size: int = 16
    image_width: int = 48
    image_layers: int = 2
    image_heads: int = 3
    context: int = 32
    frames: tuple[int, int] = (8, 16)
    batch: int = 2
    levels: int = 2
    simple_share: float = 0.5
    sigmas: tuple[float, float] = (0.05, 700.0)
    no_condition: float = 0.05
    bfloat16: bool = True
    how: Optimisation = Optimisation(rate=3e-3)  # noqa: RUF009, it is frozen


class DepthParts(nn.Module):
    """U-Net and image encoder as one module; untrained, their weights follow from the seed."""

    def __init__(self, settings: DepthSettings, latent_channels: int):
        super().__init__()
        torch.manual_seed(settings.how.seed)
        self.unet = _build_unet(settings, latent_channels).eval()
        self.image_encoder = CLIPVisionModelWithProjection(
            CLIPVisionConfig(
                hidden_size=settings.image_width,
                intermediate_size=2 * settings.image_width,
                projection_dim=settings.context,
                num_hidden_layers=settings.image_layers,
                num_attention_heads=settings.image_heads,
                image_size=settings.image_size,
                patch_size=settings.patch_size,
                hidden_act="gelu",
            )
        ).eval()

    def model(self, vae: AutoencoderKLTemporalDecoder) -> DepthCrafter:
        """Return the parts together with a VAE, ready to sample from."""
        return DepthCrafter(DepthCrafterNetworks(self.unet, vae, self.image_encoder), video_diffusion_scheduler())


class DepthTask:
    """The denoising loss on random clips; see :class:`~stereozero.world.training.loop.Task`.

    Args:
        settings: choices.
        vae: trained before.
        described: what a checkpoint must agree with to be gone on from, as JSON values.
    """

    def __init__(self, settings: DepthSettings, vae: AutoencoderKLTemporalDecoder, described: Mapping[str, Any]):
        self.module = DepthParts(settings, vae.config.latent_channels)
        self.settings = dict(described)
        self._choices = settings
        self._vae = vae.requires_grad_(False).eval()
        if settings.bfloat16:  # torch's fused attention is slower with heads this narrow: 0.54 s a step, not 0.42 s
            self.module.unet.set_attn_processor(AttnProcessor())

    def losses(self, step: int) -> dict[str, Tensor]:
        """Return "loss", the mean squared error of the velocity, and "noisiest": that of the clip with most noise."""
        choices, unet = self._choices, self.module.unet
        rng = step_rng(choices.how.seed, step)
        frames = int(rng.integers(choices.frames[0], choices.frames[1] + 1))
        clips = draw_depth_clips(rng, choices.batch, frames, choices.simple_share)
        count = choices.batch * choices.levels  # N below
        sigma = torch.from_numpy(spread_sigmas(rng, count, choices.sigmas)).to(unet.device)  # (N,)
        told = torch.from_numpy(rng.random(count) >= choices.no_condition).to(unet.device)  # (N,)
        with autocast(unet.device, bfloat16=choices.bfloat16):
            encoded = (part.repeat(choices.levels, *[1] * (part.ndim - 1)) for part in self._encode(clips))
            clean, shown, tokens = encoded  # (N, F, C, h, w) twice, (N, F, D)
            noise, level = torch.randn_like(clean), _like(sigma, clean)
            noisy = scaled_input(clean + level * noise, level)  # (N, F, C, h, w)
            sample = torch.cat([noisy, shown * _like(told, shown)], dim=2)  # (N, F, 2 C, h, w)
            ids = sigma.new_tensor([[SAMPLING.fps, SAMPLING.motion, SAMPLING.noise_augmentation]])  # (1, 3)
            velocity = unet(sample, sigma.log() / 4, tokens * _like(told, tokens), ids.expand(count, -1))
        error = (velocity.float() - velocity_target(clean, noise, level)).square().flatten(1).mean(dim=1)  # (N,)
        return {"loss": error.mean(), "noisiest": error[sigma.argmax()]}

    def _encode(self, clips: DepthClips) -> tuple[Tensor, Tensor, Tensor]:
        """Return the depth videos' latents, the videos' latents, and the frames' embeddings."""
        device, count = self.module.unet.device, clips.videos.shape[:2]
        videos = clips.videos.flatten(0, 1).to(device)  # (B * F, 3, H, W)
        augmented = videos + SAMPLING.noise_augmentation * torch.randn_like(videos)  # (B * F, 3, H, W)
        depth = clips.depth_videos().flatten(0, 1).to(device)  # (B * F, 3, H, W)
        with torch.no_grad():
            self._vae.to(device)
            both = self._vae.encode(torch.cat([depth, augmented])).latent_dist.mode().float()  # (2 B * F, C, h, w)
        clean, shown = (part.unflatten(0, count) for part in both.chunk(2))
        encoder = self.module.image_encoder
        tokens = encoder(prepare_image(videos, encoder.config.image_size)).image_embeds  # (B * F, D)
        return clean * self._vae.config.scaling_factor, shown, tokens.unflatten(0, count)


def spread_sigmas(rng: np.random.Generator, count: int, sigmas: tuple[float, float]) -> np.ndarray:
    """Return random noise levels (count,) float32 that cover the range evenly on a logarithmic scale."""
    low, high = (math.log(sigma) for sigma in sigmas)
    positions = (rng.random() + np.arange(count) / count) % 1
    return np.exp(low + (high - low) * positions).astype(np.float32)


def video_diffusion_scheduler() -> EulerDiscreteScheduler:
    """Return Stable Video Diffusion's scheduler."""
    return EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        use_karras_sigmas=True,
        sigma_min=0.002,
        sigma_max=700.0,
        timestep_spacing="leading",
        timestep_type="continuous",
        steps_offset=1,
    )


def _build_unet(settings: DepthSettings, latent_channels: int) -> FramewiseUNet:
    kinds = ["CrossAttn{}BlockSpatioTemporal" if attends else "{}BlockSpatioTemporal" for attends in settings.attention]
    return FramewiseUNet(
        in_channels=2 * latent_channels,
        out_channels=latent_channels,
        down_block_types=tuple(kind.format("Down") for kind in kinds),
        up_block_types=tuple(kind.format("Up") for kind in reversed(kinds)),
        block_out_channels=settings.widths,
        addition_time_embed_dim=16,
        projection_class_embeddings_input_dim=3 * 16,
        layers_per_block=1,
        cross_attention_dim=settings.context,
        num_attention_heads=settings.heads,
        num_frames=settings.frames[1],
    )


def _like(values: Tensor, other: Tensor) -> Tensor:
    """Return one number a clip, (B,), as a tensor that broadcasts with ``other`` (B, ...)."""
    return values.view(-1, *[1] * (other.ndim - 1))
