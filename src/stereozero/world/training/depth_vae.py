"""Training of the embedded depth model's VAE, diffusers' AutoencoderKLTemporalDecoder, on frames and depth videos."""

from dataclasses import asdict, dataclass

import torch
from diffusers import AutoencoderKLTemporalDecoder
from torch import Tensor

from stereozero.world.training.data import step_rng
from stereozero.world.training.depth_data import DepthClips, draw_depth_clips
from stereozero.world.training.loop import Optimisation
from stereozero.world.training.precision import autocast
from stereozero.world.training.vae import edge_error

_FRAMES = 16  # that a clip's action is spread over; consecutive ones of them are taken


@dataclass(frozen=True)
class DepthVaeSettings:
    """Choices of the VAE and its training.

    Attributes:
        widths: channels of each level, multiples of 32 (the class normalises in 32 groups); three levels make a latent
            cell of 4 x 4 pixels.
        latent_channels: numbers a latent cell.
        clips: a step; of each, frames and depth are coded.
        chunk: consecutive frames of a clip, which the decoder sees together; not 2, for which torch's gradient of a
            temporal convolution is NaN in bfloat16 on a CPU.
        simple_share: share of simple scenes.
        edges: weight of the error of neighbouring pixels' differences.
        regularity: weight of the KL divergence a latent number.
        bfloat16: compute in bfloat16 where that is safe, on a device that is fast at it.
        how: the descent.
    """

    widths: tuple[int, ...] = (32, 32, 64)
    latent_channels: int = 8
    clips: int = 2
    chunk: int = 3
    simple_share: float = 0.5
    edges: float = 1.0
    regularity: float = 1e-4
    bfloat16: bool = True
    how: Optimisation = Optimisation(rate=3e-3)  # noqa: RUF009, it is frozen


def build_depth_vae(settings: DepthVaeSettings) -> AutoencoderKLTemporalDecoder:
    """Return the untrained VAE; its weights follow from the seed."""
    torch.manual_seed(settings.how.seed)
    return AutoencoderKLTemporalDecoder(
        block_out_channels=settings.widths,
        down_block_types=("DownEncoderBlock2D",) * len(settings.widths),
        layers_per_block=1,
        latent_channels=settings.latent_channels,
        scaling_factor=1.0,
        force_upcast=False,
    )


class DepthVaeTask:
    """The VAE's losses on random clips; see :class:`~stereozero.world.training.loop.Task`."""

    def __init__(self, settings: DepthVaeSettings):
        self.module = build_depth_vae(settings)
        self.settings = asdict(settings)
        self._choices = settings

    def losses(self, step: int) -> dict[str, Tensor]:
        """Return "loss" and its parts: "frames", "depth", "edges" (mean absolute errors) and "kl"."""
        choices, device = self._choices, self.module.device
        clips = draw_chunks(step, choices)
        pixels = torch.cat([clips.videos, clips.depth_videos()]).flatten(0, 1).to(device)  # (2 B * N, 3, H, W)
        with autocast(device, bfloat16=choices.bfloat16):
            posterior = self.module.encode(pixels).latent_dist
            decoded = self.module.decode(posterior.sample(), num_frames=choices.chunk).sample  # (2 B * N, 3, H, W)
        error = decoded.float() - pixels
        frames, depth = (half.abs().mean() for half in error.chunk(2))
        mean, variance = posterior.mean.float(), posterior.logvar.float()  # (2 B * N, C, h, w) each
        kl = 0.5 * (mean.square() + variance.exp() - 1 - variance).mean()
        parts = {"frames": frames, "depth": depth, "edges": edge_error(error), "kl": kl}
        return {"loss": frames + depth + choices.edges * parts["edges"] + choices.regularity * kl, **parts}


def draw_chunks(step: int, settings: DepthVaeSettings) -> DepthClips:
    """Return consecutive frames of random clips: those of one step."""
    rng = step_rng(settings.how.seed, step)
    start = int(rng.integers(_FRAMES - settings.chunk + 1))
    clips = draw_depth_clips(rng, settings.clips, _FRAMES, settings.simple_share)
    taken = slice(start, start + settings.chunk)
    return DepthClips(clips.videos[:, taken], clips.disparities[:, taken])
