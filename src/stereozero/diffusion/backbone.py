"""The interface between a video diffusion model and everything that samples from one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from stereozero.diffusion.schedule import NoiseSchedule, Spacing


@dataclass(frozen=True, eq=False)
class ClipRequest:
    """What one clip is to show.

    Attributes:
        prompt: text; may be empty.
        seed: of everything random in the conditioning (the VAE's posterior draw).
        image: (3, H, W) RGB in [0, 1] at the clip's size, the first frame; None for text-to-video backbones.
        end_image: (3, H, W), the last frame, for interpolation; the same as ``image`` for a loop.
        fs: frame stride or frames a second, as the backbone understands it; None for its default.
    """

    prompt: str
    seed: int
    image: Tensor | None = None
    end_image: Tensor | None = None
    fs: int | None = None


@dataclass(frozen=True, eq=False)
class Conditioning:
    """A backbone's encoded conditions: tensors by name, the first dimension of each is the clip.

    Only the backbone that made them knows what they are. Samplers repeat and join them.
    """

    tensors: dict[str, Tensor]

    def __len__(self) -> int:
        return len(next(iter(self.tensors.values())))

    def repeat(self, times: int) -> "Conditioning":
        """Return the clips ``times`` times over: (a, b) becomes (a, b, a, b)."""
        return Conditioning.join([self] * times)

    def to(self, device: torch.device | str) -> "Conditioning":
        """Return a copy on ``device``."""
        return Conditioning({name: tensor.to(device) for name, tensor in self.tensors.items()})

    @staticmethod
    def join(parts: "Sequence[Conditioning]") -> "Conditioning":
        """Return the clips of all parts, in order. All parts must come from the same backbone."""
        names = parts[0].tensors
        return Conditioning({name: torch.cat([part.tensors[name] for part in parts]) for name in names})


@dataclass(frozen=True, eq=False)
class GuidancePair:
    """Conditions of the branches of classifier-free guidance, clip by clip.

    Attributes:
        conditional: prompt and image.
        unconditional: neither.
        image_only: the image without the prompt; None of backbones that know nothing between the two.
    """

    conditional: Conditioning
    unconditional: Conditioning
    image_only: Conditioning | None = None

    @staticmethod
    def join(parts: "Sequence[GuidancePair]") -> "GuidancePair":
        """Return the clips of all parts, in order. All parts must come from the same backbone."""
        image_only = [part.image_only for part in parts if part.image_only is not None]
        return GuidancePair(
            Conditioning.join([part.conditional for part in parts]),
            Conditioning.join([part.unconditional for part in parts]),
            Conditioning.join(image_only) if image_only else None,
        )


class Backbone(Protocol):
    """A latent video diffusion model.

    Attributes:
        schedule: how it was trained to be noised, and what it predicts (``schedule.prediction``).
        spacing: the spacing of sampling steps that it is meant to be sampled with.
        latent_channels: C of its latents.
        vae_factor: pixels a latent cell, in height and in width.
        frames: the clip length that it makes.
    """

    schedule: NoiseSchedule
    spacing: Spacing
    latent_channels: int
    vae_factor: int
    frames: int

    def encode_conditioning(self, requests: Sequence[ClipRequest]) -> GuidancePair:
        """Encode the conditions of B clips of one size.

        Raises:
            InputError: a request that this backbone can't fulfil (no image, an image of the wrong size, ...).
        """

    def predict(self, latents: Tensor, timestep: int, conditioning: Conditioning) -> Tensor:
        """Evaluate the network once.

        Args:
            latents: (B, C, F, h, w) at the noise level of ``timestep``.
            timestep: training timestep.
            conditioning: of B clips.

        Returns:
            (B, C, F, h, w): noise or velocity, in the dtype of ``latents``.
        """

    def attentions(self) -> Mapping[str, Any]:
        """Return the network's attention modules by name, in execution order.

        Each has an exchangeable ``processor`` and says whether it ``attends_to_context``; see
        :class:`stereozero.stereo.cross_view.ExchangeableAttention`.
        """

    def encode_video(self, video: Tensor, seeds: Sequence[int]) -> Tensor:
        """Encode B clips' frames.

        Args:
            video: (B, F, 3, H, W) RGB in [0, 1]; H and W multiples of ``vae_factor``. F is free.
            seeds: B seeds of the posterior's draw.

        Returns:
            (B, C, F, h, w) latents in the backbone's scale.
        """

    def decode_latents(self, latents: Tensor) -> Tensor:
        """Decode latents (B, C, F, h, w) to frames (B, F, 3, H, W), RGB in [0, 1], float32, clamped."""
