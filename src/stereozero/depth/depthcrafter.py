"""DepthCrafter (arXiv 2409.02095): the depth of a video by video diffusion, on Stable Video Diffusion's networks.

How the networks are used was learned from Tencent/DepthCrafter's pipeline and from diffusers' pipeline for Stable Video
Diffusion. A clip is one tensor with its frames first: (F, C, h, w).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKLTemporalDecoder, EulerDiscreteScheduler
from torch import Tensor
from transformers import CLIPVisionModelWithProjection

from stereozero.backbones.clip_image import prepare_image
from stereozero.depth.denoising import (
    NoiseLevels,
    check_scheduler,
    euler_step,
    guide,
    noise_levels,
    predicted_clean,
    scaled_input,
)
from stereozero.depth.framewise_unet import FramewiseUNet
from stereozero.depth.windows import check_windows, join, rotate_noise, windows
from stereozero.diffusion.noise import seeded_noise
from stereozero.errors import InputError
from stereozero.saved_networks import read_network, read_scheduler


@dataclass(frozen=True)
class DepthCrafterSettings:
    """How DepthCrafter is sampled; the defaults are those of the StereoCrafter-Zero code.

    Attributes:
        steps: of the sampler.
        guidance: scale of classifier-free guidance; at 1 the unconditional branch is left out.
        noise_augmentation: standard deviation of the noise that is added to the video before it is encoded.
        window, overlap: length of a window and how much neighbouring ones share [frames].
        frames_at_once: frames that are encoded or decoded in one call. The decoder looks at neighbouring frames of its
            call, so another number makes another result.
        fps, motion: what the network is told about the video. DepthCrafter was trained with 7 and 127 alone.
        seed: of all noise.
    """

    steps: int = 5
    guidance: float = 1.2
    noise_augmentation: float = 0.02
    window: int = 110
    overlap: int = 25
    frames_at_once: int = 8
    fps: int = 7
    motion: int = 127
    seed: int = 42

    def __post_init__(self):
        check_windows(self.window, self.overlap)
        for name in ("steps", "frames_at_once"):
            if getattr(self, name) < 1:
                raise InputError(f"DepthCrafter: {name} is {getattr(self, name)}; at least 1 is right")
        if self.guidance < 1 or self.noise_augmentation < 0:
            raise InputError(
                f"DepthCrafter: guidance is {self.guidance:g} (1 or more is right), noise augmentation "
                f"{self.noise_augmentation:g} (0 or more is right)"
            )


@dataclass(frozen=True, eq=False)
class DepthCrafterNetworks:
    """The networks, all for inference and on one device; the VAE is in float32."""

    unet: FramewiseUNet
    vae: AutoencoderKLTemporalDecoder
    image_encoder: CLIPVisionModelWithProjection


@dataclass(frozen=True, eq=False)
class EstimationNoise:
    """All that is random in an estimation.

    Attributes:
        augmentation: (F, 3, H, W) standard normal, for the video.
        initial: (N, C, h, w) standard normal, N frames of the first window.
    """

    augmentation: Tensor
    initial: Tensor


@dataclass(frozen=True, eq=False)
class VideoCondition:
    """What the U-Net is told of a video.

    Attributes:
        latents: (F, C, h, w).
        tokens: (F, D), CLIP embeddings.
    """

    latents: Tensor
    tokens: Tensor

    def __getitem__(self, frames: slice) -> "VideoCondition":
        return VideoCondition(self.latents[frames], self.tokens[frames])

    def nothing(self) -> "VideoCondition":
        """Return the unconditional branch's: zeros."""
        return VideoCondition(torch.zeros_like(self.latents), torch.zeros_like(self.tokens))


class DepthCrafter:
    """The networks and the steps of an estimation:

        condition = model.encode(video, noise.augmentation, settings)
        latents = model.sample(condition, noise.initial, settings)
        depth = model.decode(latents, settings)

    Args:
        networks: loaded and in evaluation mode.
        scheduler: gives the noise levels.
    """

    def __init__(self, networks: DepthCrafterNetworks, scheduler: EulerDiscreteScheduler):
        check_scheduler(scheduler, "DepthCrafter")
        self.networks = networks
        self.scheduler = scheduler
        self.vae_factor = 2 ** (len(networks.vae.config.block_out_channels) - 1)
        self.size_multiple = self.vae_factor * 2 ** (len(networks.unet.config.block_out_channels) - 1)
        """Height and width of a video must be multiples of this [px]; 64 for the published networks."""

    @classmethod
    def from_pretrained(
        cls,
        folder: Path | str,
        unet_folder: Path | str | None = None,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> "DepthCrafter":
        """Read a saved model, or the published pair.

        Args:
            folder: has the folders unet, vae, image_encoder and scheduler: what :meth:`save_pretrained` wrote, or a
                copy of stabilityai/stable-video-diffusion-img2vid-xt.
            unet_folder: the U-Net to take instead of the folder's own: a copy of tencent/DepthCrafter.
            device: where to compute.
            dtype: of the networks but the VAE, which overflows in float16 and stays in float32.

        Raises:
            InputError: a part is missing or damaged, or weights don't fit their config.json.
        """
        folder = Path(folder)
        networks = DepthCrafterNetworks(
            read_network(FramewiseUNet, Path(unet_folder) if unet_folder else folder / "unet", dtype),
            read_network(AutoencoderKLTemporalDecoder, folder / "vae"),
            read_network(CLIPVisionModelWithProjection, folder / "image_encoder", dtype),
        )
        for network in vars(networks).values():
            network.to(device)
        return cls(networks, read_scheduler(EulerDiscreteScheduler, folder / "scheduler"))

    def save_pretrained(self, folder: Path | str) -> None:
        """Write one folder a network (config.json, safetensors) and the scheduler's, as diffusers does."""
        folder = Path(folder)
        for name in ("unet", "vae", "image_encoder"):
            getattr(self.networks, name).save_pretrained(folder / name)
        self.scheduler.save_pretrained(folder / "scheduler")

    @property
    def device(self) -> torch.device:
        """Where the networks compute."""
        return self.networks.unet.device

    def levels(self, steps: int) -> NoiseLevels:
        """Return the sampler's noise levels, on the model's device."""
        levels = noise_levels(self.scheduler, steps)
        return NoiseLevels(levels.sigmas.to(self.device), levels.timesteps.to(self.device), levels.initial)

    def draw_noise(self, frames: int, height: int, width: int, settings: DepthCrafterSettings) -> EstimationNoise:
        """Draw the noise for a video of this size from the settings' seed."""
        first = min(frames, settings.window)
        channels = self.networks.vae.config.latent_channels
        cells = (height // self.vae_factor, width // self.vae_factor)
        return EstimationNoise(
            seeded_noise((frames, 3, height, width), settings.seed, "augmentation"),
            seeded_noise((first, channels, *cells), settings.seed, "initial"),
        )

    @torch.no_grad()
    def encode(self, video: Tensor, noise: Tensor, settings: DepthCrafterSettings) -> VideoCondition:
        """Encode what the U-Net is to know of a video.

        Args:
            video: (F, 3, H, W) RGB in [0, 1]; H and W multiples of ``size_multiple``.
            noise: (F, 3, H, W), see :class:`EstimationNoise`.
            settings: choices.

        Raises:
            InputError: another size.
        """
        self._check_size(video)
        pixels = video.to(self.device, torch.float32) * 2 - 1  # (F, 3, H, W)
        augmented = pixels + settings.noise_augmentation * noise.to(pixels)  # (F, 3, H, W)
        tokens = [self._embed(part) for part in pixels.split(settings.frames_at_once)]
        return VideoCondition(self.encode_pixels(augmented, settings), torch.cat(tokens))

    @torch.no_grad()
    def encode_pixels(self, pixels: Tensor, settings: DepthCrafterSettings) -> Tensor:
        """Encode (F, 3, H, W) in [-1, 1] with the VAE: (F, C, h, w) float32, the posterior's mode, not scaled."""
        vae = self.networks.vae
        parts = [vae.encode(part.to(vae.device)).latent_dist.mode() for part in pixels.split(settings.frames_at_once)]
        return torch.cat(parts)  # (F, C, h, w)

    @torch.no_grad()
    def sample(self, condition: VideoCondition, noise: Tensor, settings: DepthCrafterSettings) -> Tensor:
        """Sample a video's depth.

        A window after the first starts from the clean latents of the frames it shares with the one before, plus noise,
        and from noise alone for the others.

        Args:
            condition: of F frames.
            noise: (N, C, h, w), see :class:`EstimationNoise`.
            settings: choices.

        Returns:
            (F, C, h, w) float32, clean, in the scale of the U-Net.
        """
        levels = self.levels(settings.steps)
        noise = noise.to(self.device)
        latents = condition.latents[:0]  # (0, C, h, w)
        for frames in windows(len(condition.latents), settings.window, settings.overlap):
            shared = len(latents) - frames.start
            start = noise[: frames.stop - frames.start] * levels.initial  # (N, C, h, w)
            start[:shared] = latents[frames.start :] + start[:shared] / levels.initial * levels.sigmas[0]
            latents = join(latents, self._denoise(start, condition[frames], levels, settings), shared)
            noise = rotate_noise(noise, settings.overlap)
        return latents

    @torch.no_grad()
    def predict_velocity(
        self,
        latents: Tensor,
        sigma: Tensor,
        timestep: Tensor,
        condition: VideoCondition,
        settings: DepthCrafterSettings,
    ) -> Tensor:
        """Evaluate the U-Net once, without guidance, on the frames of one window.

        Args:
            latents: (N, C, h, w) at the level ``sigma``.
            sigma, timestep: the level, and what the network is told of it; scalars.
            condition: of the same frames.
            settings: choices.

        Returns:
            (N, C, h, w) float32.
        """
        unet = self.networks.unet
        sample = torch.cat([scaled_input(latents, sigma), condition.latents], dim=1)  # (N, 2 C, h, w)
        ids = torch.tensor([[settings.fps, settings.motion, settings.noise_augmentation]], device=self.device)  # (1, 3)
        with self._autocast(unet.dtype):
            velocity = unet(sample[None].to(unet.dtype), timestep[None], condition.tokens[None].to(unet.dtype), ids)
        return velocity[0].float()

    @torch.no_grad()
    def decode(self, latents: Tensor, settings: DepthCrafterSettings) -> Tensor:
        """Decode (F, C, h, w) to relative inverse depth: (F, H, W) float32 in [0, 1] on the CPU, 1 nearest."""
        decoded = self.decode_pixels(latents, settings)  # (F, 3, H, W)
        return (decoded / 2 + 0.5).clamp(0, 1).mean(dim=1).cpu()

    @torch.no_grad()
    def decode_pixels(self, latents: Tensor, settings: DepthCrafterSettings) -> Tensor:
        """Decode (F, C, h, w) with the VAE: (F, 3, H, W) float32, about [-1, 1], not clamped."""
        vae = self.networks.vae
        cells = latents.to(vae.device) / vae.config.scaling_factor  # (F, C, h, w)
        parts = [vae.decode(part, num_frames=len(part)).sample for part in cells.split(settings.frames_at_once)]
        return torch.cat(parts)  # (F, 3, H, W)

    def _denoise(
        self, latents: Tensor, condition: VideoCondition, levels: NoiseLevels, settings: DepthCrafterSettings
    ) -> Tensor:
        # (N, C, h, w) at the first level -> (N, C, h, w), clean
        nothing = condition.nothing()
        for step, timestep in enumerate(levels.timesteps):
            sigma = levels.sigmas[step]
            velocity = self.predict_velocity(latents, sigma, timestep, condition, settings)
            if settings.guidance != 1:
                without = self.predict_velocity(latents, sigma, timestep, nothing, settings)
                velocity = guide(velocity, without, settings.guidance)
            clean = predicted_clean(latents, velocity, sigma)  # (N, C, h, w)
            latents = euler_step(latents, clean, sigma, levels.sigmas[step + 1])
        return latents

    def _embed(self, pixels: Tensor) -> Tensor:
        # (N, 3, H, W) in [-1, 1] -> (N, D)
        encoder = self.networks.image_encoder
        prepared = prepare_image(pixels, encoder.config.image_size)  # (N, 3, S, S)
        with self._autocast(encoder.dtype):
            return encoder(prepared.to(encoder.dtype)).image_embeds.float()

    @contextmanager
    def _autocast(self, dtype: torch.dtype) -> Iterator[None]:
        """Have norms and softmax of a network in half precision computed in float32."""
        with torch.autocast(self.device.type, dtype=dtype, enabled=dtype != torch.float32):
            yield

    def _check_size(self, video: Tensor) -> None:
        height, width = video.shape[-2:]
        if height % self.size_multiple or width % self.size_multiple:
            raise InputError(
                f"video of {height} x {width} pixels (height x width): both must be multiples of {self.size_multiple} "
                "for this model; DepthCrafterEstimator resizes it"
            )
