"""StereoDiffusion: the other view by shifting an image model's latents (Wang et al., CVPRW 2024, arXiv 2403.04965).

Written anew on diffusers' networks, for any Stable Diffusion 1.x or 2.x image model. What the released code does was
read in lez-s/StereoDiffusion (img2stereo.py, the entry point for existing pictures); no licence was found there.
Frame by frame, without any link in time:

1. DDIM inversion of the frame with the empty prompt and without guidance.
2. Null-text optimisation (Mokady et al., CVPR 2023): an unconditional embedding for every step, such that guided
   sampling retraces the inversion.
3. Guided sampling of two views from the same start. After step 10 the right view becomes the shifted left one, holes
   at 0; after steps 20, 30 and 40 it is renewed from the left one wherever it is no hole. From step 10 on, the right
   view's self-attention looks at the left one's keys and values.

Kept: 50 steps, guidance 7.5, all step numbers, 512 x 512 (frames are squeezed to it and brought back, as there).
Other than there: the disparity is the pipeline's, normalised over the clip already, so it is not normalised again in
each frame; the strength is the pipeline's too. Frames are computed in batches, which changes rounding only.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as nnf
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from torch import Tensor

from stereozero.baselines.declaration import Conversion
from stereozero.diffusion.schedule import NoiseSchedule
from stereozero.errors import InputError
from stereozero.saved_networks import read_network
from stereozero.stereo.warp import forward_warp

_LEARNING_RATE, _STOP_AT, _STOP_RISE = 1e-2, 1e-5, 2e-5  # of the null-text optimisation


@dataclass(frozen=True)
class Settings:
    """Choices of the method, with the released code's defaults.

    Attributes:
        steps: DDIM steps.
        guidance: of the sampling; the inversion has none.
        null_text_steps: Adam steps for each embedding, at most; 0 leaves the empty prompt's own (plain DDIM inversion).
        shift_step: the first shift follows this step (0 is the noisiest); later ones every so many steps.
        attention: "uni": both views look at the left one's keys and values; "bi": at both views'; "none".
        attention_step: the step from which they do.
        noise_in_holes: fill the first shift's holes with noise ("deblur") instead of 0.
        size: (height, width) the model works at; None for the clip's own, brought to the next size it can take.
        frames_at_once: in one call of the UNet, which sees each four times, or twice with guidance 1.
    """

    steps: int = 50
    guidance: float = 7.5
    null_text_steps: int = 10
    shift_step: int = 10
    attention: Literal["uni", "bi", "none"] = "uni"
    attention_step: int = 10
    noise_in_holes: bool = False
    size: tuple[int, int] | None = (512, 512)
    frames_at_once: int = 1


@dataclass(frozen=True, eq=False)
class ImageModel:
    """A latent diffusion model of images.

    Attributes:
        unet, vae: diffusers' networks.
        encode_text: prompts -> (B, L, D), what the UNet's cross-attention reads.
        schedule: how it was trained to be noised.
    """

    unet: UNet2DConditionModel
    vae: AutoencoderKL
    encode_text: Callable[[Sequence[str]], Tensor]
    schedule: NoiseSchedule

    @property
    def multiple(self) -> int:
        """Pixels that both sides of a picture must be a multiple of."""
        return 2 ** (len(self.vae.config.block_out_channels) - 1 + len(self.unet.config.block_out_channels) - 1)

    def encode(self, pixels: Tensor) -> Tensor:
        """Return the scaled posterior mean (N, C, h, w) of pictures (N, 3, H, W) in [-1, 1]."""
        return self.vae.encode(pixels).latent_dist.mean * self.vae.config.scaling_factor

    def decode(self, latents: Tensor) -> Tensor:
        """Return pictures (N, 3, H, W), about [-1, 1], of scaled latents (N, C, h, w)."""
        return self.vae.decode(latents / self.vae.config.scaling_factor).sample

    def noise(self, latents: Tensor, time: int, text: Tensor) -> Tensor:
        """Return the noise that the UNet sees in latents (N, C, h, w) under text (N, L, D)."""
        output = self.unet(latents, time, encoder_hidden_states=text).sample  # (N, C, h, w)
        if self.schedule.prediction == "epsilon":
            return output
        alpha_bar = float(self.schedule.alpha_bar[time])
        return alpha_bar**0.5 * output + (1 - alpha_bar) ** 0.5 * latents


class Views(NamedTuple):
    """Both views of some frames, (N, 3, H, W) in [-1, 1]; the left one is the model's reconstruction of the source."""

    left: Tensor
    right: Tensor


def convert(conversion: Conversion, model: ImageModel, settings: Settings) -> np.ndarray:
    """Make the target view of a clip: (F, H, W, 3) uint8 RGB.

    Raises:
        InputError: a size or step that the model or the settings don't allow.
    """
    check_settings(settings, model)
    height, width = conversion.source.shape[1:3]
    size = working_size(height, width, settings, model.multiple)
    generator = torch.Generator().manual_seed(conversion.seed)
    targets = []
    for start in range(0, len(conversion.source), settings.frames_at_once):
        chosen = slice(start, start + settings.frames_at_once)
        pixels = _to_pixels(conversion.source[chosen], size, model.unet.device)  # (N, 3, h, w)
        disparity = torch.from_numpy(conversion.disparity[chosen]).to(model.unet.device)  # (N, H, W)
        right = stereo_views(pixels, disparity, conversion.strength, model, settings, generator).right
        targets.append(_to_frames(right, (height, width)))
    return np.concatenate(targets)


def stereo_views(
    pixels: Tensor,
    disparity: Tensor,
    strength: float,
    model: ImageModel,
    settings: Settings,
    generator: torch.Generator,
) -> Views:
    """Reconstruct frames and make their other view.

    Args:
        pixels: (N, 3, H, W) in [-1, 1], of a size the model takes.
        disparity: (N, any, any) in [0, 1]; brought to the latents' size.
        strength: percent of the width.
        model: the image model.
        settings: choices.
        generator: on the CPU, for noise in holes.
    """
    steps = ddim_steps(model.schedule, settings.steps)
    with torch.no_grad():
        empty = model.encode_text([""]).expand(len(pixels), -1, -1)  # (N, L, D)
        path = invert(model.encode(pixels), empty, model, steps)
    unconditional = null_text(path, empty, model, steps, settings)
    shift = Shift(_at_latent_size(disparity, path[0]), strength, settings, generator)
    with torch.no_grad():
        left, right = sample(path[-1], empty, unconditional, shift, model, steps, settings)
        return Views(model.decode(left), model.decode(right))


# DDIM


class Step(NamedTuple):
    """One DDIM step, between a noisier and a cleaner level.

    Attributes:
        time: training timestep of the noisier level; what the UNet is told, in both directions.
        alpha_bar: signal variance of the noisier level.
        cleaner: signal variance of the cleaner level.
    """

    time: int
    alpha_bar: float
    cleaner: float


def ddim_steps(schedule: NoiseSchedule, count: int) -> list[Step]:
    """Return the steps from noisy to clean: times (count - 1) d ... d, 0 with d = training steps // count.

    The last step leads to the schedule's final level, not to 1, as in the released code.
    """
    distance = schedule.train_steps // count
    times = [distance * number for number in reversed(range(count))]
    levels = [*(float(schedule.alpha_bar[time]) for time in times), schedule.final_alpha_bar]
    return [Step(*values) for values in zip(times, levels[:-1], levels[1:], strict=True)]


def denoised(latents: Tensor, noise: Tensor, step: Step) -> Tensor:
    """Take one step to the cleaner level."""
    return _moved(latents, noise, step.alpha_bar, step.cleaner)


def noised(latents: Tensor, noise: Tensor, step: Step) -> Tensor:
    """Take one step to the noisier level; undoes :func:`denoised` with the same noise."""
    return _moved(latents, noise, step.cleaner, step.alpha_bar)


def _moved(latents: Tensor, noise: Tensor, start: float, end: float) -> Tensor:
    clean = (latents - (1 - start) ** 0.5 * noise) / start**0.5
    return end**0.5 * clean + (1 - end) ** 0.5 * noise


# Inversion


def invert(latents: Tensor, text: Tensor, model: ImageModel, steps: Sequence[Step]) -> list[Tensor]:
    """Return the latents of every level, clean first: S + 1 tensors (N, C, h, w).

    The noise of a step is predicted from the cleaner level's latents at the noisier level's time.
    """
    path = [latents]
    for step in reversed(steps):
        path.append(noised(path[-1], model.noise(path[-1], step.time, text), step))
    return path


def null_text(
    path: Sequence[Tensor], text: Tensor, model: ImageModel, steps: Sequence[Step], settings: Settings
) -> list[Tensor]:
    """Return an unconditional embedding (N, L, D) for every step, in sampling order.

    Each is optimised from the one before, so that the guided step leads from where the last one led to the inversion's
    latents. Frames stop on their own. With guidance 1 nothing is asked of it, and it stays the empty prompt's.
    """
    if not settings.null_text_steps or settings.guidance == 1:
        return [text] * len(steps)
    latents, embedding, found = path[-1], text, []
    for number, step in enumerate(steps):
        with torch.no_grad():
            conditional = model.noise(latents, step.time, text)  # (N, C, h, w)
        target = path[len(steps) - 1 - number]  # (N, C, h, w)
        embedding = _optimised(embedding, latents, conditional, target, step, number, model, settings)
        found.append(embedding)
        with torch.no_grad():
            noise = guided(model.noise(latents, step.time, embedding), conditional, settings.guidance)
            latents = denoised(latents, noise, step)  # (N, C, h, w)
    return found


def _optimised(
    embedding: Tensor,
    latents: Tensor,
    conditional: Tensor,
    target: Tensor,
    step: Step,
    number: int,
    model: ImageModel,
    settings: Settings,
) -> Tensor:
    variable = embedding.clone().requires_grad_()  # (N, L, D)
    optimiser = torch.optim.Adam([variable], lr=_LEARNING_RATE * (1 - number / (2 * settings.steps)))
    running = torch.ones(len(embedding), dtype=torch.bool, device=embedding.device)  # (N,)
    for _ in range(settings.null_text_steps):
        noise = guided(model.noise(latents, step.time, variable), conditional, settings.guidance)
        error = nnf.mse_loss(denoised(latents, noise, step), target, reduction="none").mean((1, 2, 3))  # (N,)
        before = variable.detach().clone()
        (variable.grad,) = torch.autograd.grad(error.sum(), variable)
        optimiser.step()
        variable.data = torch.where(running[:, None, None], variable.data, before)
        running &= error.detach() >= _STOP_AT + _STOP_RISE * number
        if not running.any():
            break
    return variable.detach()


def guided(unconditional: Tensor, conditional: Tensor, guidance: float) -> Tensor:
    """Return the guided noise."""
    return unconditional + guidance * (conditional - unconditional)


# Sampling


class Shift:
    """Symmetric pixel shift masking: renews the right view from the left one, but for the first shift's holes."""

    def __init__(self, disparity: Tensor, strength: float, settings: Settings, generator: torch.Generator):
        self._disparity, self._strength = disparity, strength
        self._settings, self._generator = settings, generator
        self._seen: Tensor | None = None  # (N, 1, h, w) bool, True where the first shift left no hole

    def after(self, number: int, left: Tensor, right: Tensor) -> Tensor:
        """Return the right view's latents (N, C, h, w) after step ``number``."""
        first = self._settings.shift_step
        if number < first or number % max(first, 1):
            return right
        shifted, blank = forward_warp(left, self._disparity, self._strength, "whole")  # (N, C, h, w), (N, h, w)
        if self._seen is None:
            self._seen = ~blank.unsqueeze(1)
            return torch.where(self._seen, shifted, self._hole_content(left))
        return torch.where(self._seen, shifted, right)

    def _hole_content(self, left: Tensor) -> Tensor:
        if not self._settings.noise_in_holes:
            return torch.zeros_like(left)
        return torch.randn(left.shape, generator=self._generator).to(left)


def sample(
    start: Tensor,
    text: Tensor,
    unconditional: Sequence[Tensor],
    shift: Shift,
    model: ImageModel,
    steps: Sequence[Step],
    settings: Settings,
) -> tuple[Tensor, Tensor]:
    """Sample both views from one start; with guidance 1 the UNet is not evaluated without the prompt.

    Args:
        start: (N, C, h, w), the noisiest latents.
        text: (N, L, D), the prompt.
        unconditional: an embedding (N, L, D) for each step.
        shift: makes the right view's latents.
        model: the image model.
        steps: from noisy to clean.
        settings: choices.

    Returns:
        Clean latents of left and right view, (N, C, h, w) each.
    """
    left, right = start, start
    attention = StereoAttention(settings.attention, pairs=1 if settings.guidance == 1 else 2)
    before = model.unet.attn_processors
    model.unet.set_attn_processor(attention)
    try:
        for number, step in enumerate(steps):
            attention.active = number >= settings.attention_step
            views = torch.cat([left, right])  # (2 N, C, h, w)
            noise = _guided_noise(views, step.time, unconditional[number], text, model, settings.guidance)
            left, right = denoised(views, noise, step).chunk(2)
            right = shift.after(number, left, right)
    finally:
        model.unet.set_attn_processor(before)
    return left, right


def _guided_noise(
    views: Tensor, time: int, unconditional: Tensor, text: Tensor, model: ImageModel, guidance: float
) -> Tensor:
    # Of left and right views (2 N, C, h, w), with embeddings (N, L, D).
    if guidance == 1:
        return model.noise(views, time, torch.cat([text] * 2))  # (2 N, C, h, w)
    words = torch.cat([unconditional] * 2 + [text] * 2)  # (4 N, L, D)
    return guided(*model.noise(torch.cat([views, views]), time, words).chunk(2), guidance)  # (2 N, C, h, w)


class StereoAttention(AttnProcessor2_0):
    """Self-attention across views; an attention processor for batches of one or more (left, right) pairs of N each.

    Cross-attention to text stays as it is. With "uni" the left view attends to itself as ever, so it is unchanged.

    Attributes:
        kind: "uni", "bi" or "none".
        pairs: how many; two with guidance, without and with the prompt.
        active: False leaves everything as it is.
    """

    def __init__(self, kind: Literal["uni", "bi", "none"], pairs: int = 2):
        super().__init__()
        self.kind, self.pairs, self.active = kind, pairs, False

    def __call__(
        self, attn: Attention, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None, **others: object
    ) -> Tensor:
        """Attend; shapes as in diffusers."""
        if encoder_hidden_states is None and self.active and self.kind != "none":
            encoder_hidden_states = self._keys_and_values(hidden_states)
        return super().__call__(attn, hidden_states, encoder_hidden_states, **others)

    def _keys_and_values(self, tokens: Tensor) -> Tensor:
        """Return what each of (pairs * 2 N, L, D) looks at: (pairs * 2 N, L or 2 L, D)."""
        left, right = tokens.unflatten(0, (self.pairs, 2, -1)).unbind(1)  # (pairs, N, L, D) each
        seen = left if self.kind == "uni" else torch.cat([left, right], dim=2)  # (pairs, N, L or 2 L, D)
        return torch.stack([seen, seen], dim=1).flatten(0, 2)


# Sizes


def check_settings(settings: Settings, model: ImageModel) -> None:
    """Check what can't work with a model.

    Raises:
        InputError: a size that the model can't take, or more steps than it was trained with.
    """
    if not 1 <= settings.steps <= model.schedule.train_steps:
        raise InputError(f"stereodiffusion: steps is {settings.steps}; 1 ... {model.schedule.train_steps} are possible")
    if settings.size and any(side % model.multiple or side < model.multiple for side in settings.size):
        raise InputError(
            f"stereodiffusion: size is {settings.size[0]} x {settings.size[1]}; this model takes multiples of "
            f"{model.multiple} only"
        )


def working_size(height: int, width: int, settings: Settings, multiple: int) -> tuple[int, int]:
    """Return the (height, width) that frames are brought to."""
    if settings.size:
        return settings.size
    return tuple(max(1, round(side / multiple)) * multiple for side in (height, width))


def _at_latent_size(disparity: Tensor, latents: Tensor) -> Tensor:
    """Resize disparity to (N, h, w), bicubic with half-pixel centres as released; overshoot is cut off."""
    resized = nnf.interpolate(disparity.unsqueeze(1).float(), latents.shape[-2:], mode="bicubic")  # (N, 1, h, w)
    return resized.squeeze(1).clamp(0, 1)


def _to_pixels(frames: np.ndarray, size: tuple[int, int], device: torch.device) -> Tensor:
    pixels = torch.from_numpy(np.ascontiguousarray(frames)).to(device).movedim(-1, 1).float() / 127.5 - 1
    return pixels if pixels.shape[-2:] == size else _resized(pixels, size)


def _to_frames(pixels: Tensor, size: tuple[int, int]) -> np.ndarray:
    resized = pixels if pixels.shape[-2:] == size else _resized(pixels, size)  # (N, 3, H, W)
    levels = ((resized.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return levels.movedim(1, -1).contiguous().cpu().numpy()


def _resized(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    return nnf.interpolate(pixels, size, mode="bilinear", antialias=True)


# Loading


def load_image_model(folder: Path, encoders: Path | None, device: str) -> ImageModel:
    """Read an image model in diffusers' layout.

    Args:
        folder: with ``unet`` and ``scheduler``; without ``encoders`` also ``vae``, ``text_encoder`` and ``tokenizer``.
        encoders: a folder of this pipeline's generator, whose ``vae`` and ``conditioner`` the UNet was trained with.
        device: where to compute.

    Raises:
        InputError: a part is missing.
    """
    from diffusers import DDIMScheduler

    from stereozero.baselines.readiness import image_model_problem

    problem = image_model_problem(folder, encoders)
    if problem:
        raise InputError(problem)
    schedule = NoiseSchedule.from_diffusers(DDIMScheduler.from_pretrained(folder / "scheduler"))
    unet = read_network(UNet2DConditionModel, folder / "unet").to(device)
    vae = read_network(AutoencoderKL, (encoders or folder) / "vae").to(device)
    return ImageModel(unet, vae, _text_encoder(folder, encoders, device), schedule)


def _text_encoder(folder: Path, encoders: Path | None, device: str) -> Callable[[Sequence[str]], Tensor]:
    if encoders:
        from stereozero.backbones.dynamicrafter import ClipConditioner

        return read_network(ClipConditioner, encoders / "conditioner").to(device).encode_text
    from transformers import CLIPTextModel, CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    network = read_network(CLIPTextModel, folder / "text_encoder").to(device)

    def encode(prompts: Sequence[str]) -> Tensor:
        length = tokenizer.model_max_length
        tokens = tokenizer(list(prompts), padding="max_length", max_length=length, truncation=True, return_tensors="pt")
        return network(tokens.input_ids.to(device)).last_hidden_state  # (B, L, D)

    return encode
