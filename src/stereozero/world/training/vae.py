"""Training of the embedded VAE, diffusers' AutoencoderKL, on single frames; then of its decoder alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as nnf
from diffusers import AutoencoderKL
from torch import Tensor

from stereozero.world.training.data import ClipPool, draw_frames, step_rng
from stereozero.world.training.loop import Optimisation
from stereozero.world.training.moves import draw_moves, is_inside, moved
from stereozero.world.training.precision import autocast


@dataclass(frozen=True)
class VaeSettings:
    """Choices of the VAE and its training.

    Attributes:
        widths: channels of each level; three levels make a latent cell of 4 x 4 pixels.
        latent_channels: numbers a latent cell.
        norm_groups: of every GroupNorm.
        batch: frames a step.
        edges: weight of the error of neighbouring pixels' differences, which keeps edges sharp.
        object_weight: how many times more an error counts on an object than on a wall or floor. Objects are small, and
            so are their patterns.
        regularity: weight of the KL divergence a latent number.
        equivariance: weight of the difference between moved latents and those of the moved picture, in variances.
        noise: standard deviation of what is added to latents before they are decoded, in root mean squares of them.
        moved: share of frames that are moved and decoded from moved latents; the others are decoded from their own.
        bfloat16: compute in bfloat16 where that is safe, on a device that is fast at it.
        how: the descent.
    """

    widths: tuple[int, ...] = (32, 32, 64)
    latent_channels: int = 8
    norm_groups: int = 8
    batch: int = 8
    edges: float = 1.0
    object_weight: float = 4.0
    regularity: float = 1e-4
    equivariance: float = 0.3
    noise: float = 0.1
    moved: float = 0.5
    bfloat16: bool = True
    how: Optimisation = Optimisation(rate=2e-3, fall=0.8)  # noqa: RUF009, it is frozen


def build_vae(settings: VaeSettings) -> AutoencoderKL:
    """Return the untrained VAE; its weights follow from the seed."""
    torch.manual_seed(settings.how.seed)
    levels = len(settings.widths)
    return AutoencoderKL(
        block_out_channels=settings.widths,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        layers_per_block=1,
        latent_channels=settings.latent_channels,
        norm_num_groups=settings.norm_groups,
        scaling_factor=1.0,
    )


class VaeTask:
    """The VAE's losses on random frames; see :class:`~stereozero.world.training.loop.Task`.

    Args:
        pool: the clips.
        settings: choices.
        described: what a checkpoint must agree with to be gone on from, as JSON values.
    """

    def __init__(self, pool: ClipPool, settings: VaeSettings, described: Mapping[str, Any]):
        self.module = build_vae(settings)
        self.settings = dict(described)
        self._pool, self._choices = pool, settings
        self._cell = 2 ** (len(settings.widths) - 1)  # [px]

    def losses(self, step: int) -> dict[str, Tensor]:
        """Return "loss" and its parts: "pixels", "edges" (mean absolute errors), "kl" and "equivariance"."""
        choices, device = self._choices, self.module.device
        rng = step_rng(choices.how.seed, step)
        drawn = draw_moved(self._pool, rng, choices.batch, choices.moved, self._cell, device)
        with autocast(device, bfloat16=choices.bfloat16):
            posterior = self.module.encode(torch.cat([drawn.pixels, drawn.moved])).latent_dist
            latents = posterior.sample().float()  # (2 B, C, h, w)
            still, direct = latents.chunk(2)  # of the pictures and of the moved pictures, (B, C, h, w) each
            there = moved(still, drawn.moves)  # (B, C, h, w)
            shown = torch.where(drawn.is_moved, there, still)  # (B, C, h, w)
            roughness = choices.noise * latents.detach().square().mean().sqrt()
            decoded = self.module.decode(shown + roughness * torch.randn_like(shown)).sample  # (B, 3, H, W)
        inside = is_inside(drawn.moves, latents.shape[-2:], margin=1).to(device)  # (B, 1, h, w)
        apart = ((there - direct).square() * inside).mean() / inside.float().mean()
        mean, variance = posterior.mean.float(), posterior.logvar.float()  # (2 B, C, h, w) each
        parts = {
            **picture_errors(decoded, drawn.wanted, drawn.weights(choices.object_weight, self._cell)),
            "kl": 0.5 * (mean.square() + variance.exp() - 1 - variance).mean(),
            "equivariance": apart / latents.var(dim=(0, 2, 3)).mean(),
        }
        weights = {"edges": choices.edges, "kl": choices.regularity, "equivariance": choices.equivariance}
        return {"loss": sum(weights.get(name, 1.0) * part for name, part in parts.items()), **parts}


@dataclass(frozen=True)
class DecoderSettings:
    """Choices of the training of the decoder alone.

    Attributes:
        batch, edges, object_weight, moved, bfloat16, how: as in :class:`VaeSettings`.
        noise: most that is added to a frame's latents before they are decoded, in root mean squares of them; how much
            is drawn evenly between none and this.
    """

    batch: int = 8
    edges: float = 1.0
    object_weight: float = 4.0
    noise: float = 0.1
    moved: float = 0.25
    bfloat16: bool = True
    how: Optimisation = Optimisation(rate=1e-3, fall=0.8)  # noqa: RUF009, it is frozen


class DecoderTask:
    """The decoder's losses on random frames; see :class:`~stereozero.world.training.loop.Task`.

    The latents stay as they are, so that networks trained on them stay right. What reconstructions lost because latents
    have to move as the picture does, and because noise was always added to them, the decoder makes good in part.

    Args:
        pool: the clips.
        settings: choices.
        vae: trained before.
        described: what a checkpoint must agree with to be gone on from, as JSON values.
    """

    def __init__(self, pool: ClipPool, settings: DecoderSettings, vae: AutoencoderKL, described: Mapping[str, Any]):
        self.module = only_decoder_trained(vae)
        self.settings = dict(described)
        self._pool, self._choices = pool, settings
        self._cell = 2 ** (len(vae.config.block_out_channels) - 1)  # [px]

    def losses(self, step: int) -> dict[str, Tensor]:
        """Return "loss" and its parts: "pixels" and "edges" (mean absolute errors)."""
        choices, device = self._choices, self.module.device
        rng = step_rng(choices.how.seed, step)
        drawn = draw_moved(self._pool, rng, choices.batch, choices.moved, self._cell, device)
        with autocast(device, bfloat16=choices.bfloat16):
            with torch.no_grad():
                latents = self.module.encode(drawn.pixels).latent_dist.sample().float()  # (B, C, h, w)
            shown = torch.where(drawn.is_moved, moved(latents, drawn.moves), latents)  # (B, C, h, w)
            levels = torch.from_numpy(rng.uniform(0, choices.noise, (choices.batch, 1, 1, 1))).float().to(device)
            roughness = levels * latents.square().mean().sqrt()  # (B, 1, 1, 1)
            decoded = self.module.decode(shown + roughness * torch.randn_like(shown)).sample  # (B, 3, H, W)
        parts = picture_errors(decoded, drawn.wanted, drawn.weights(choices.object_weight, self._cell))
        return {"loss": parts["pixels"] + choices.edges * parts["edges"], **parts}


def only_decoder_trained(vae: AutoencoderKL) -> AutoencoderKL:
    """Let the decoder's weights require gradients, and no others."""
    vae.requires_grad_(False)
    vae.decoder.requires_grad_(True)
    vae.post_quant_conv.requires_grad_(True)
    return vae


@dataclass(frozen=True, eq=False)
class MovedFrames:
    """Frames, and what they look like moved.

    Attributes:
        pixels: (B, 3, H, W) in [-1, 1].
        moved: the same moved.
        moves: (B, 2, 3) as :func:`~stereozero.world.training.moves.draw_moves` gives them.
        is_moved: (B, 1, 1, 1) bool, which are to be decoded from moved latents.
        on_object: (B, 1, H, W) bool, where what is to be decoded shows objects.
    """

    pixels: Tensor
    moved: Tensor
    moves: Tensor
    is_moved: Tensor
    on_object: Tensor

    @property
    def wanted(self) -> Tensor:
        """What is to be decoded: (B, 3, H, W)."""
        return torch.where(self.is_moved, self.moved, self.pixels)

    def weights(self, object_weight: float, margin: int) -> Tensor:
        """Return what errors count, (B, 1, H, W): 1, and so many times that on objects.

        What a move brought in from beyond the border, or from ``margin`` [px] of it, counts nothing.
        """
        inside = is_inside(self.moves, self.pixels.shape[-2:], margin).to(self.is_moved.device) | ~self.is_moved
        return torch.where(self.on_object, object_weight, 1.0) * inside


def draw_moved(
    pool: ClipPool, rng: np.random.Generator, count: int, share: float, cell: int, device: torch.device
) -> MovedFrames:
    """Return random frames and the same moved, of which about a share is to be decoded from moved latents."""
    pixels, on_object = (each.to(device) for each in draw_frames(pool, rng, count))  # (B, 3, H, W), (B, 1, H, W)
    moves = draw_moves(rng, count, pixels.shape[-2:], cell)  # (B, 2, 3)
    is_moved = torch.from_numpy(rng.random((count, 1, 1, 1)) < share).to(device)
    there = torch.where(is_moved, moved(on_object.float(), moves) > 0.5, on_object)  # (B, 1, H, W)
    return MovedFrames(pixels, moved(pixels, moves).clamp(-1, 1), moves, is_moved, there)


def picture_errors(decoded: Tensor, wanted: Tensor, weights: Tensor) -> dict[str, Tensor]:
    """Return "pixels" and "edges", mean absolute errors of pictures (B, 3, H, W) and of their neighbours' differences.

    Each place counts as its weight says, (B, 1, H, W).
    """
    error, weights = decoded.float() - wanted, weights / weights.mean()
    return {"pixels": (error.abs() * weights).mean(), "edges": edge_error(error, weights)}


def edge_error(error: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the mean absolute difference of horizontal and vertical neighbours in an error (B, C, H, W).

    With weights (B, 1, H, W), two neighbours count as the one with the smaller weight says.
    """
    weights = torch.ones_like(error[:, :1]) if weights is None else weights
    across = error.diff(dim=3).abs() * torch.minimum(weights[..., 1:], weights[..., :-1])  # (B, C, H, W - 1)
    down = error.diff(dim=2).abs() * torch.minimum(weights[..., 1:, :], weights[..., :-1, :])  # (B, C, H - 1, W)
    return (across.mean() + down.mean()) / 2


@torch.no_grad()
def finish_vae(vae: AutoencoderKL, pixels: Tensor) -> None:
    """Set the scaling factor that gives the latents of pixels (B, 3, H, W) a root mean square of 1."""
    vae.register_to_config(scaling_factor=float(1 / mean_latents(vae, pixels).square().mean().sqrt()))


@torch.no_grad()
def mean_latents(vae: AutoencoderKL, pixels: Tensor) -> Tensor:
    """Return the means of the posteriors of pixels (B, 3, H, W) in [-1, 1], not scaled: (B, C, h, w), on the VAE."""
    return torch.cat([vae.encode(part.to(vae.device)).latent_dist.mean for part in pixels.split(16)])


@torch.no_grad()
def reconstruct(vae: AutoencoderKL, pixels: Tensor) -> Tensor:
    """Return what the VAE makes of pixels (B, 3, H, W) in [-1, 1] without the posterior's noise: the same shape."""
    parts = [vae.decode(vae.encode(part.to(vae.device)).latent_dist.mean).sample for part in pixels.split(16)]
    return torch.cat(parts).clamp(-1, 1).cpu()


def psnr(first: Tensor, second: Tensor) -> Tensor:
    """Return the PSNR [dB] of each of N pictures (N, 3, H, W) in [-1, 1], as 8-bit frames would have it: (N,)."""
    levels = [((pixels.clamp(-1, 1) + 1) * 127.5).round() for pixels in (first, second)]
    squared = nnf.mse_loss(*levels, reduction="none").flatten(1).mean(1)  # (N,)
    return 10 * torch.log10(255**2 / squared.clamp(min=1e-6))
