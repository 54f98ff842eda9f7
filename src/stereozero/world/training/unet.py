"""Training of the embedded video UNet and Resampler on latents of rendered clips.

As DynamiCrafter is trained: the first frame's latents are concatenated to every frame's, its CLIP tokens go through the
Resampler, and for guidance the text, or text and image tokens, are left out now and then. Unlike there, the text tower
is trained along, because a small one knows too little of motion from single frames, some attention heads are taught
where things come from (see :mod:`stereozero.world.training.correspondence`), errors on the main object weigh more, so
do those that change from frame to frame, and errors count as they are seen, too, in decoded frames
(:mod:`stereozero.world.training.seen`). And most clips are not true ones with noise added, but the network's own
guesses of them: sampling will show it what it got wrong at high noise, and it is to mend that
(:mod:`stereozero.world.training.chains`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as nnf
from diffusers import AutoencoderKL
from torch import Tensor, nn

from stereozero.backbones.dynamicrafter import ClipConditioner, DynamiCrafter, Modules, Resampler, Variant, VideoUNet
from stereozero.backbones.dynamicrafter.attention import SpatialTransformer
from stereozero.world.training.chains import Stages, falling_times, guessed_times, stages_of
from stereozero.world.training.correspondence import (
    Origins,
    TaughtAttention,
    find_object_origins,
    find_origins,
    mean_taught_loss,
    targets_of,
)
from stereozero.world.training.data import ClipPool, scene_of, step_rng, to_pixels
from stereozero.world.training.loop import Optimisation
from stereozero.world.training.noising import guess_of, noised
from stereozero.world.training.places import PlaceReadouts, place_targets
from stereozero.world.training.precision import autocast
from stereozero.world.training.seen import seen_errors

_TAUGHT_POSITIONS = 4  # one of so many positions is taught in a step, which saves a tenth of its time
_TAUGHT_HEADS = 2  # the first of every attention on the way up
_CONTENT = -2  # of these attentions, the one that brings what objects look like (so the trained network has it); by a
# third taught head, since one carries few numbers a cell
FAST, SLOW = 8, 16  # frames a second that the fs condition can state: every second rendered frame, or every one

VARIANT = Variant(
    name="world",
    height=64,
    width=96,
    frames=8,
    prediction="v_prediction",
    zero_terminal_snr=True,
    base_scale=0.7,
    spacing="trailing",
    guidance_rescale=0.0,
    default_fs=SLOW,
    fs_range=(FAST, SLOW),
    fs_is_stride=False,
    learned_image_scale=False,
    repository="",
    # What the reference leaves is seen here: its noise was nine tenths of what flickered where nothing moves, and with
    # 20 steps its scale takes 4 % off the latents.
    set_alpha_to_one=True,
    # Steps at less noise bend what turns and blur what moves: of latents with little noise the network believes what it
    # sees, its own errors too.
    hold_below=650,
)
"""The embedded generator's fixed choices; its schedule is that of DynamiCrafter 512 but for the end of sampling."""


@dataclass(frozen=True)
class UNetSettings:
    """Choices of the UNet, the Resampler and their training.

    Attributes:
        width: channels of the UNet's first level.
        channel_mult: width of each level in units of ``width``.
        attention_resolutions: downsampling factors at which there are transformers.
        head_width: of every attention head; attentions on the way up have two or three to teach.
        norm_groups: of every GroupNorm.
        queries: image tokens a frame.
        resampler_width, resampler_layers: of the Resampler.
        batch: clips a step.
        simple_share: share of clips that are simple scenes; the others are complex ones.
        turning_share: share of clips whose main object turns, of simple ones and of complex ones; a fifth of a pool's.
            Turning bends shapes most.
        slow_share: share of clips that show half of the motion, twice as slow.
        no_text: share of clips without text.
        no_condition: share of clips without text and without image tokens.
        noisier: by how much more often the noisiest timesteps are drawn than they would be if all were drawn alike; at
            low noise there is little left to tell but what the VAE made up.
        taught_weight: of the loss of heads that are taught where things come from [1 / nat].
        main_weight: how many times more an error counts where the main object is seen, or next to it. It covers few
            cells, 4 % of the picture, but what a video is about happens there.
        steady_weight: of the errors' squared change from frame to frame, which is seen as flicker.
        seen_weight: of the errors of two frames of the guess, and of those of their edges, as the VAE decodes them.
        flicker_weight: of the change of these errors from the one frame to the other. Most of a picture is at rest, and
            there the eye sees small changes.
        guessed_share: share of clips that the network gets to see as it guessed them from more noise, with noise added,
            first from noise alone, at timesteps that it is asked at when it generates.
        places_weight: of the errors with which places and origins are read from features; 0 leaves that out.
        bfloat16: compute in bfloat16 where that is safe, on a device that is fast at it.
        how: the descent.
    """

    width: int = 64
    channel_mult: tuple[int, ...] = (1, 1, 1)
    attention_resolutions: tuple[int, ...] = (4, 2, 1)
    head_width: int = 16
    norm_groups: int = 8
    queries: int = 4
    resampler_width: int = 64
    resampler_layers: int = 2
    batch: int = 4
    simple_share: float = 0.6
    turning_share: float = 0.6
    slow_share: float = 0.75
    no_text: float = 0.07
    no_condition: float = 0.07
    noisier: float = 2.0
    taught_weight: float = 0.2
    main_weight: float = 8.0
    steady_weight: float = 1.0
    seen_weight: float = 0.5
    flicker_weight: float = 2.0
    guessed_share: float = 0.65
    places_weight: float = 0.1
    bfloat16: bool = True
    how: Optimisation = Optimisation(rate=2e-3, fall=0.8)  # noqa: RUF009, it is frozen


def gently(settings: UNetSettings, sha256: str) -> UNetSettings:
    """Return the choices with which an adopted UNet, whose file has this checksum, is trained on.

    It has much to lose: the full rate, and place readouts that know nothing yet, since they are not exported, raise its
    denoising loss from 0.016 to 0.025 within sixty steps; a half of the rate makes its guess of what turns 28 %
    worse within 400. And it is to see other clips than when it was trained before.
    """
    how = replace(settings.how, rate=0.15 * settings.how.rate, fall=1.0, seed=int(sha256[:8], base=16))
    return replace(settings, places_weight=0.0, how=how)


@dataclass(frozen=True, eq=False)
class ClipBatch:
    """Clips of one step.

    Attributes:
        pixels: (B, F, 3, H, W) in [-1, 1].
        captions: B sentences.
        fs: (B,) frames a second, ``FAST`` or ``SLOW``.
        clips: B places in the pool.
        frames: (B, F) which of the clips' rendered frames they are.
    """

    pixels: Tensor
    captions: Sequence[str]
    fs: Tensor
    clips: np.ndarray
    frames: np.ndarray


class Given(NamedTuple):
    """What the UNet is told of B clips besides their noisy latents.

    Attributes:
        first: (B, C, 1, h, w) latents of the first frames.
        text, image: (B, L, D) and (B, F, Q, D) tokens.
        fs: (B,) frames a second.
    """

    first: Tensor
    text: Tensor
    image: Tensor
    fs: Tensor


class CellOrigins(NamedTuple):
    """Where the cells of B clips come from, at one level of the UNet.

    Attributes:
        of_objects: B, cells next to an object moving with it.
        of_points: B, each cell moving as the surface point at its centre does.
    """

    of_objects: Sequence[Origins]
    of_points: Sequence[Origins]


class GeneratorParts(nn.Module):
    """UNet, Resampler, encoders and, only to teach the UNet, place readouts; the image tower is frozen."""

    def __init__(self, settings: UNetSettings, conditioner: ClipConditioner, latent_channels: int):
        super().__init__()
        torch.manual_seed(settings.how.seed)
        context = conditioner.config.text_cfg["width"]
        # No dropout (evaluation mode, since some of it is no setting): these networks are too small to overfit.
        self.unet = VideoUNet(
            in_channels=2 * latent_channels,
            out_channels=latent_channels,
            model_channels=settings.width,
            channel_mult=settings.channel_mult,
            num_res_blocks=1,
            attention_resolutions=settings.attention_resolutions,
            num_head_channels=settings.head_width,
            context_dim=context,
            dropout=0.0,
            default_fs=VARIANT.default_fs,
            init_attention_heads=settings.width // settings.head_width,
            norm_num_groups=settings.norm_groups,
        ).eval()
        self.resampler = Resampler(
            dim=settings.resampler_width,
            depth=settings.resampler_layers,
            dim_head=settings.head_width,
            heads=settings.resampler_width // settings.head_width,
            num_queries=settings.queries,
            embedding_dim=conditioner.config.vision_cfg["width"],
            output_dim=context,
            ff_mult=2,
            video_length=VARIANT.frames,
        )
        self.conditioner = conditioner.requires_grad_(True)
        self.conditioner.model.visual.requires_grad_(False)
        self.conditioner.model.logit_scale.requires_grad_(False)
        self.readouts = PlaceReadouts(self.unet)

    def backbone(self, vae: AutoencoderKL) -> DynamiCrafter:
        """Return the parts together with a VAE, ready to sample from."""
        return DynamiCrafter(Modules(self.unet, self.resampler, vae, self.conditioner), VARIANT, frames_at_once=16)


class UNetTask:
    """The UNet's denoising loss on random clips; see :class:`~stereozero.world.training.loop.Task`.

    Args:
        pool: the clips.
        settings: choices.
        vae, conditioner: trained before; the conditioner's text tower is trained along.
        described: what a checkpoint must agree with to be gone on from, as JSON values.
    """

    def __init__(
        self,
        pool: ClipPool,
        settings: UNetSettings,
        vae: AutoencoderKL,
        conditioner: ClipConditioner,
        described: Mapping[str, Any],
    ):
        self.module = GeneratorParts(settings, conditioner, vae.config.latent_channels)
        self.settings = dict(described)
        self._pool, self._choices = pool, settings
        self._vae = vae.requires_grad_(False).eval()
        self._schedule = VARIANT.noise_schedule()
        self._taught = teach(self.module.unet)
        self._guesses: tuple[int, Tensor] | None = None  # the step that they are for, and (B, C, F, h, w)
        if settings.places_weight:
            self.module.readouts.watch(self.module.unet)

    def losses(self, step: int) -> dict[str, Tensor]:
        """Return "loss" and what it is a weighted sum of.

        These are "weighted", the mean squared error of the velocity, the main object's weighing more, "changing", that
        of its change from frame to frame, "attention", the mean cross-entropy of the taught heads [nats], "pixels",
        "edges" and "flicker" of :func:`~stereozero.world.training.seen.seen_errors` and, if places are read from
        features, the errors "place" and "origin".
        "denoising" is the first without weights and "late" the last frame's part in that. Errors of clips that the
        network guessed count as those of the guess it makes of them, not of the velocity: little noise makes the
        velocity that leads from a wrong guess to the truth a large one.
        """
        choices, device = self._choices, self.module.unet.device
        rng = step_rng(choices.how.seed, step)
        stages = stages_of(choices.how.seed, step, choices.batch)
        batch = draw_clips(self._pool, stages.rngs, choices)
        origins = self._origins(batch)
        pixels = batch.pixels.to(device)  # (B, F, 3, H, W)
        with self._autocast():
            latents = self._encode(pixels)  # (B, C, F, h, w)
            text, image = self._tokens(batch, pixels[:, 0], rng)  # (B, L, D), (B, F, Q, D)
        positions = slice(int(rng.integers(_TAUGHT_POSITIONS)), None, _TAUGHT_POSITIONS)
        self._set_targets(origins, positions)
        given = Given(latents[:, :, :1], text, image, batch.fs.to(device))
        guessed = self._is_guessed(stages, step)  # (B,) bool
        times = self._times(stages, guessed)  # (B,)
        shown = self._shown(latents, guessed & ~stages.begin)  # (B, C, F, h, w)
        noisy, target = noised(shown, latents, times, self._schedule)  # (B, C, F, h, w) each
        velocity = self._velocity(noisy, times, given)  # (B, C, F, h, w)
        unit = np.where(guessed, 1 - self._schedule.alpha_bar[times], np.float32(1))[:, None, None, None]
        unit = torch.from_numpy(unit).to(device)  # (B, 1, 1, 1)
        wrong = velocity - target  # (B, C, F, h, w)
        error = wrong.square().mean(dim=1) * unit  # (B, F, h, w)
        counted = main_weights(origins[0].of_points, choices.main_weight).to(device)  # (B, F, h, w)
        with self._autocast():
            guess = guess_of(velocity, noisy, times, self._schedule)  # (B, C, F, h, w)
            seen = seen_errors(self._vae, guess, latents, counted, rng)
        self._guesses = step + 1, guess.detach()
        parts = {
            "weighted": (error * counted).mean(),
            "changing": (wrong.diff(dim=2).square().mean(dim=1) * unit).mean(),
            "attention": mean_taught_loss(self._taught),
            **seen,
            **(self.module.readouts.take_losses() if choices.places_weight else {}),
        }
        weights = {
            "changing": choices.steady_weight,
            "attention": choices.taught_weight,
            **dict.fromkeys(seen, choices.seen_weight),
            "flicker": choices.flicker_weight,
            "place": choices.places_weight,
            "origin": choices.places_weight,
        }
        loss = sum(weights.get(name, 1.0) * part for name, part in parts.items())
        return {"loss": loss, "denoising": error.mean(), "late": error[:, -1].mean(), **parts}

    def _origins(self, batch: ClipBatch) -> list[CellOrigins]:
        # Of each level of the UNet, the finest one first.
        cell = 2 ** (len(self._vae.config.block_out_channels) - 1)
        scenes = [scene_of(self._pool.settings, clip) for clip in batch.clips.tolist()]
        sizes = (
            [side // cell // 2**level for side in batch.pixels.shape[-2:]]
            for level in range(len(self._choices.channel_mult))
        )
        clips = [
            (scene, self._pool.settings.frames, frames) for scene, frames in zip(scenes, batch.frames, strict=True)
        ]
        return [
            CellOrigins(
                of_objects=[find_object_origins(*clip, *size) for clip in clips],
                of_points=[find_origins(*clip, *size) for clip in clips],
            )
            for size in sizes
        ]

    def _set_targets(self, origins: Sequence[CellOrigins], positions: slice) -> None:
        targets, readouts, device = {}, self.module.readouts, self.module.unet.device
        for level in origins:
            cells = level.of_points[0].known[0].size
            of_objects, of_points = (targets_of(clips, positions).to(device) for clips in level)
            targets[cells] = [of_objects, of_points, of_objects]
            if self._choices.places_weight:
                readouts.targets[cells] = place_targets(level.of_points).to(device)
        for processor in self._taught:
            processor.targets = targets

    @torch.no_grad()
    def _encode(self, pixels: Tensor) -> Tensor:
        # (B, F, 3, H, W) -> (B, C, F, h, w), one posterior draw a frame
        self._vae.to(pixels.device)
        latents = self._vae.encode(pixels.flatten(0, 1)).latent_dist.sample().float()  # (B * F, C, h, w)
        return (latents * self._vae.config.scaling_factor).unflatten(0, pixels.shape[:2]).transpose(1, 2)

    def _tokens(self, batch: ClipBatch, first: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        choices, conditioner = self._choices, self.module.conditioner
        chance = rng.random(len(first))
        prompts = [
            "" if dropped else caption
            for caption, dropped in zip(batch.captions, chance < choices.no_text + choices.no_condition, strict=True)
        ]
        without_image = torch.from_numpy(chance < choices.no_condition).to(first.device)  # (B,)
        shown = torch.where(without_image[:, None, None, None], 0.0, first)  # (B, 3, H, W)
        with torch.no_grad():
            image_tokens = conditioner.encode_image(shown)  # (B, 1 + patches, D)
        return conditioner.encode_text(prompts), self.module.resampler(image_tokens)

    def _is_guessed(self, stages: Stages, step: int) -> np.ndarray:
        # (B,) which clips are shown as guessed; when a training is resumed, those that had begun are shown as they are.
        chosen = np.array([rng.random() < self._choices.guessed_share for rng in stages.rngs])
        is_known = self._guesses is not None and self._guesses[0] == step
        return chosen & (is_known | stages.begin)

    def _times(self, stages: Stages, is_guessed: np.ndarray) -> np.ndarray:
        # (B,) timesteps
        steps = self._schedule.train_steps
        positions = np.array([rng.random() for rng in stages.rngs])
        true = falling_times(positions, stages.evaluations, steps, self._choices.noisier)
        return np.where(is_guessed, guessed_times(positions, stages.evaluations, steps, VARIANT.hold_below), true)

    def _shown(self, latents: Tensor, guessed: np.ndarray) -> Tensor:
        # The latents (B, C, F, h, w), those of some clips as guessed in the step before.
        if not guessed.any():
            return latents
        where = torch.from_numpy(guessed).to(latents.device)[:, None, None, None, None]
        return torch.where(where, self._guesses[1], latents)

    def _velocity(self, noisy: Tensor, times: np.ndarray, given: Given) -> Tensor:
        sample = torch.cat([noisy, given.first.expand_as(noisy)], dim=1)  # (B, 2 C, F, h, w)
        timesteps = torch.from_numpy(times).to(noisy.device)  # (B,)
        with self._autocast():
            return self.module.unet(sample, timesteps, given.text, given.image, given.fs).float()

    def _autocast(self) -> torch.autocast:
        # One a part of the step: within a single one, older versions of torch (issues 65766, 158232) use weights again
        # that were cast without gradients, and these get none.
        return autocast(self.module.unet.device, bfloat16=self._choices.bfloat16)


def main_weights(origins: Sequence[Origins], times_more: float) -> Tensor:
    """Return weights (B, F, h, w) with the mean 1, so many times more where the main object is seen or next to it."""
    seen = torch.from_numpy(np.stack([one.on_main for one in origins])).float()  # (B, F, h, w)
    weights = 1 + (times_more - 1) * nnf.max_pool2d(seen, kernel_size=3, stride=1, padding=1)
    return weights / weights.mean()


def draw_clips(pool: ClipPool, rngs: Sequence[np.random.Generator], settings: UNetSettings) -> ClipBatch:
    """Return one random clip of a pool for each generator, each at one of the two speeds."""
    length, chances = VARIANT.frames, _chances(pool, settings)
    clips = np.array([rng.choice(len(chances), p=chances) for rng in rngs])  # (B,)
    slow = np.array([rng.random() < settings.slow_share for rng in rngs])  # (B,)
    starts = np.array([rng.integers(pool.settings.frames - length + 1) for rng in rngs]) * slow  # (B,)
    frames = starts[:, None] + np.arange(length) * np.where(slow, 1, 2)[:, None]  # (B, F)
    videos = [pool.videos[clip][chosen] for clip, chosen in zip(clips, frames, strict=True)]
    pixels = to_pixels(np.concatenate(videos)).unflatten(0, (len(clips), length))  # (B, F, 3, H, W)
    fs = torch.from_numpy(np.where(slow, SLOW, FAST))
    return ClipBatch(pixels, [pool.captions[clip] for clip in clips], fs, clips, frames)


def _chances(pool: ClipPool, settings: UNetSettings) -> np.ndarray:
    # (N,) how likely each clip is drawn; in a tiny pool some of the four groups may be empty
    group = 2 * (np.arange(len(pool.captions)) % 2) + pool.turning  # odd clips are complex scenes
    kinds = (settings.simple_share, 1 - settings.simple_share)
    share = np.outer(kinds, (1 - settings.turning_share, settings.turning_share)).ravel()  # (4,)
    chances = share[group] / np.bincount(group, minlength=4)[group]
    return chances / chances.sum()


def teach(unet: VideoUNet) -> list[TaughtAttention]:
    """Make the first heads of a UNet's attentions on its way up learn where to look, and all attentions fast to train.

    Returns:
        The processors of the spatial self-attentions on the way up.
    """
    unet.set_attn_processor(TaughtAttention())
    transformers = [module for module in unet.output_blocks.modules() if isinstance(module, SpatialTransformer)]
    attentions = [block.attn1 for transformer in transformers for block in transformer.transformer_blocks]
    for attention in attentions:
        attention.processor = TaughtAttention(taught=_TAUGHT_HEADS)
    attentions[_CONTENT].processor = TaughtAttention(taught=_TAUGHT_HEADS + 1)
    return [attention.processor for attention in attentions]
