"""DynamiCrafter behind the backbone protocol.

What is concatenated with what, and what the unconditional branch gets, was learned from Doubiiu/DynamiCrafter
(Apache-2.0), scripts/evaluation/inference.py (image_guided_synthesis) and lvdm/models/ddpm3d.py.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from stereozero.backbones.dynamicrafter.attention import Attention
from stereozero.backbones.dynamicrafter.checkpoint import Modules, load_official
from stereozero.backbones.dynamicrafter.conditioner import ClipConditioner
from stereozero.backbones.dynamicrafter.resampler import Resampler
from stereozero.backbones.dynamicrafter.unet import VideoUNet
from stereozero.backbones.offload import Offload
from stereozero.backbones.variants import NETWORKS, VARIANT_FILE, Variant, read_variant
from stereozero.diffusion.backbone import ClipRequest, Conditioning, GuidancePair
from stereozero.diffusion.noise import seeded_noise
from stereozero.errors import InputError
from stereozero.saved_networks import read_network

_CLASSES = dict(zip(NETWORKS, (VideoUNet, Resampler, AutoencoderKL, ClipConditioner), strict=True))


class DynamiCrafter:
    """An image-and-prompt-to-video model; implements :class:`stereozero.diffusion.backbone.Backbone`.

    Args:
        modules: the four networks, all on one device.
        variant: the model's fixed choices.
        frames_at_once: frames that the VAE takes in one call; fewer need less memory. The result is the same up to
            rounding.
    """

    def __init__(self, modules: Modules, variant: Variant, frames_at_once: int = 1):
        self.modules = modules
        self.variant = variant
        self.frames_at_once = frames_at_once
        self.schedule = variant.noise_schedule()
        self.spacing = variant.spacing
        self.frames = variant.frames
        self.latent_channels = modules.vae.config.latent_channels
        self.vae_factor = 2 ** (len(modules.vae.config.block_out_channels) - 1)
        self._offload: Offload | None = None

    @classmethod
    def from_official(
        cls,
        path: Path | str,
        variant: Variant,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> "DynamiCrafter":
        """Read an official checkpoint; see :func:`~stereozero.backbones.dynamicrafter.checkpoint.load_official`."""
        return cls(load_official(path, variant, device=device, dtype=dtype), variant)

    @classmethod
    def from_pretrained(
        cls, folder: Path | str, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> "DynamiCrafter":
        """Read a folder that :meth:`save_pretrained` wrote.

        Raises:
            InputError: a part of the folder is missing or damaged, or weights don't fit their config.json.
        """
        folder = Path(folder)
        variant = read_variant(folder)
        modules = {name: read_network(kind, folder / name, dtype) for name, kind in _CLASSES.items()}
        for module in modules.values():
            module.to(device)
        return cls(Modules(**modules), variant)

    def save_pretrained(self, folder: Path | str) -> None:
        """Write variant.json and one diffusers-style folder (config.json, safetensors) a network."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / VARIANT_FILE).write_text(json.dumps(asdict(self.variant), indent=2) + "\n")
        for name, module in self.modules.named().items():
            module.save_pretrained(folder / name)

    @property
    def device(self) -> torch.device:
        """Where the networks compute."""
        return self._offload.device if self._offload else self.modules.unet.device

    def offload_to(self, device: torch.device | str) -> None:
        """Compute on ``device``, with only the networks there that are in use: least memory, some seconds a clip.

        The networks must be in the host's memory. Do this before :meth:`compile`.
        """
        self._offload = Offload(self.modules.named(), device)

    def compile(self) -> None:
        """Have torch.compile translate the UNet: the first evaluation takes minutes, the others are faster."""
        self.modules.unet.compile()

    @torch.no_grad()
    def encode_conditioning(self, requests: Sequence[ClipRequest]) -> GuidancePair:
        """Encode prompts and images of B clips of one size.

        The unconditional branch has the empty prompt and a mid-grey picture for CLIP, but the same image latents and
        the same fs.

        Raises:
            InputError: a request without image, images of several sizes, or a size that the networks can't halve as
                often as they do.
        """
        self._check_images(requests)
        images = torch.stack([request.image for request in requests]).to(self.device) * 2 - 1  # (B, 3, H, W)
        conditioner = self.modules.conditioner
        with self._using("conditioner", "resampler"):
            text = conditioner.encode_text([request.prompt for request in requests])  # (B, L, D)
            no_text = conditioner.encode_text([""]).expand_as(text)  # (B, L, D)
            image = self.modules.resampler(conditioner.encode_image(images))  # (B, F, Q, D)
            no_image = self.modules.resampler(conditioner.encode_image(torch.zeros_like(images[:1])))  # (1, F, Q, D)
        default = self.variant.default_fs
        shared = {
            "image_latents": torch.stack([self._image_latents(request) for request in requests]),  # (B, C, F, h, w)
            "fs": torch.tensor(
                [default if request.fs is None else request.fs for request in requests], device=self.device
            ),  # (B,)
        }
        return GuidancePair(
            Conditioning({"text": text, "image": image, **shared}),
            Conditioning({"text": no_text, "image": no_image.expand_as(image), **shared}),
            Conditioning({"text": no_text, "image": image, **shared}),
        )

    @torch.no_grad()
    def predict(self, latents: Tensor, timestep: int, conditioning: Conditioning) -> Tensor:
        """Evaluate the UNet on (B, C, F, h, w) latents; returns the same shape and dtype."""
        given = conditioning.tensors
        dtype = self.modules.unet.dtype
        sample = torch.cat([latents, given["image_latents"].to(latents.dtype)], dim=1)  # (B, 2 C, F, h, w)
        with self._using("unet"):
            prediction = self.modules.unet(
                sample.to(dtype), timestep, given["text"].to(dtype), given["image"].to(dtype), given["fs"]
            )  # (B, C, F, h, w)
        return prediction.to(latents.dtype)

    def attentions(self) -> Mapping[str, Attention]:
        """Return the attention modules that cross-view attention may edit, by name, in execution order."""
        return dict(self.modules.unet.named_attentions())

    @torch.no_grad()
    def encode_video(self, video: Tensor, seeds: Sequence[int]) -> Tensor:
        """Encode (B, F, 3, H, W) in [0, 1] to (B, C, F, h, w): a draw from the posterior, scaled."""
        latents = [self._encode_frames(clip, seed, "video") for clip, seed in zip(video, seeds, strict=True)]
        return torch.stack(latents)  # (B, C, F, h, w)

    @torch.no_grad()
    def decode_latents(self, latents: Tensor) -> Tensor:
        """Decode (B, C, F, h, w) to (B, F, 3, H, W) in [0, 1], float32, clamped."""
        vae = self.modules.vae
        cells = latents.transpose(1, 2).flatten(0, 1) / vae.config.scaling_factor  # (B * F, C, h, w)
        with self._using("vae"):
            decoded = [vae.decode(part.to(vae.dtype)).sample.float() for part in cells.split(self.frames_at_once)]
        frames = torch.cat(decoded).clamp(-1, 1) / 2 + 0.5  # (B * F, 3, H, W)
        return frames.unflatten(0, (len(latents), -1))

    @contextmanager
    def _using(self, *networks: str) -> Iterator[None]:
        """Have these networks on the device; in half precision, have norms and softmax computed in float32."""
        if self._offload:
            self._offload.bring(*networks)
        dtype = self.modules.unet.dtype
        with torch.autocast(self.device.type, dtype=dtype, enabled=dtype != torch.float32):
            yield

    def _image_latents(self, request: ClipRequest) -> Tensor:
        first = self._encode_frames(request.image[None], request.seed, "image")  # (C, 1, h, w)
        if request.end_image is None:
            return first.expand(-1, self.frames, -1, -1)  # (C, F, h, w)
        if torch.equal(request.end_image, request.image):
            last = first  # a loop's two ends are one draw; the reference draws twice in one script, once in the other
        else:
            last = self._encode_frames(request.end_image[None], request.seed, "end image")  # (C, 1, h, w)
        middle = torch.zeros_like(first).expand(-1, self.frames - 2, -1, -1)  # (C, F - 2, h, w)
        return torch.cat([first, middle, last], dim=1)  # (C, F, h, w)

    def _encode_frames(self, frames: Tensor, seed: int, label: str) -> Tensor:
        # (F, 3, H, W) in [0, 1] -> (C, F, h, w)
        vae = self.modules.vae
        pixels = frames.to(self.device, vae.dtype) * 2 - 1  # (F, 3, H, W)
        with self._using("vae"):
            posteriors = [vae.encode(part).latent_dist for part in pixels.split(self.frames_at_once)]
        mean = torch.cat([posterior.mean.float() for posterior in posteriors])  # (F, C, h, w)
        std = torch.cat([posterior.std.float() for posterior in posteriors])  # (F, C, h, w)
        noise = seeded_noise(mean.shape, seed, "posterior", label, device=self.device)  # (F, C, h, w)
        return ((mean + std * noise) * vae.config.scaling_factor).transpose(0, 1)  # (C, F, h, w)

    def _check_images(self, requests: Sequence[ClipRequest]) -> None:
        for request in requests:
            if request.image is None:
                raise InputError(f"DynamiCrafter {self.variant.name} needs an image for the prompt {request.prompt!r}")
        pictures = [one for request in requests for one in (request.image, request.end_image) if one is not None]
        sizes = {tuple(picture.shape[1:]) for picture in pictures}
        if len(sizes) > 1:
            raise InputError(f"images of one batch must have one size, not {sorted(sizes)} (height, width)")
        # The UNet halves the latent once a level, and must be able to double it back.
        factor = self.vae_factor * 2 ** (len(self.modules.unet.config.channel_mult) - 1)
        height, width = sizes.pop()
        if height % factor or width % factor:
            raise InputError(
                f"image of {height} x {width} pixels (height x width): both must be multiples of {factor} for "
                f"DynamiCrafter {self.variant.name}"
            )
