"""Figures of the embedded generator on clips that it was not trained on."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from diffusers import AutoencoderKL
from scipy.ndimage import minimum_filter
from torch import Tensor

from stereozero.backbones.dynamicrafter import ClipConditioner, DynamiCrafter
from stereozero.diffusion.backbone import ClipRequest
from stereozero.diffusion.sampling import initial_latents, sample
from stereozero.diffusion.schedule import ddim_schedule
from stereozero.metrics.flicker import flicker_of_view
from stereozero.world import KINDS, Scene, render_clip
from stereozero.world.training.clip import similarities
from stereozero.world.training.data import ClipPool, object_mask, scene_of, to_frames, to_pixels
from stereozero.world.training.guesses import guess_errors
from stereozero.world.training.moves import is_inside, moved, similarity
from stereozero.world.training.outline import has_colour, largest_part, overlap
from stereozero.world.training.vae import mean_latents, psnr, reconstruct

_LEAST_SHIFT = 5.0  # shift over a clip that counts as movement [percent of width]; the world's objects move 12 to 23
_LEAST_GROWTH = 0.1  # growth (log) over a clip that counts as coming closer or going away; the world's is 0.25 to 0.35
_REST_WINDOW = 9  # [px]; a place is at rest if all about it is
_REST_CHANGE = 1  # most that a rendered clip changes there [8-bit levels]
_SEEN_CHANGE = 4  # change that counts as seen: about 7 % of a middle grey's luminance


@dataclass(frozen=True)
class SamplingSettings:
    """How clips are sampled for evaluation.

    Attributes:
        clips: of the held-out pool.
        steps: DDIM steps; the model is evaluated in those of them that its variant doesn't hold.
        guidance: scale of classifier-free guidance; 1, which is none, is as good for this generator and twice as fast.
        batch: clips at a time.
    """

    clips: int = 48
    steps: int = 20
    guidance: float = 1.0
    batch: int = 8


def vae_figures(vae: AutoencoderKL, pool: ClipPool) -> dict[str, dict[str, float]]:
    """Return the PSNR [dB] of reconstructions of every clip's middle frame, a kind of scene.

    "vae_psnr" is the frames' mean, besides also that of all and the worst frame's. "vae_psnr_objects" is that of the
    objects in them, from the mean squared error of all their pixels.
    """
    middle = pool.settings.frames // 2
    pixels = to_pixels(pool.videos[:, middle])  # (N, 3, H, W)
    decoded = reconstruct(vae, pixels)  # (N, 3, H, W)
    values = psnr(decoded, pixels)  # (N,)
    masks = np.stack([object_mask(pool.settings, clip, middle) for clip in range(len(pixels))])  # (N, H, W)
    return {
        "vae_psnr": {**_a_kind(values), "all": float(values.mean()), "worst": float(values.min())},
        "vae_psnr_objects": _object_psnr(decoded, pixels, torch.from_numpy(masks)[:, None]),
    }


def _object_psnr(decoded: Tensor, pixels: Tensor, on_object: Tensor) -> dict[str, float]:
    # Of pictures (N, 3, H, W) in [-1, 1] where on_object (N, 1, H, W) is true.
    squared = ((decoded - pixels) / 2).square() * on_object  # (N, 3, H, W), the range being 1
    kinds = {kind: slice(first, None, len(KINDS)) for first, kind in enumerate(KINDS)}
    errors = {kind: float(squared[clips].sum() / 3 / on_object[clips].sum()) for kind, clips in kinds.items()}
    return {kind: -10 * math.log10(error) for kind, error in errors.items()}


@torch.no_grad()
def latents_apart(vae: AutoencoderKL, pool: ClipPool) -> dict[str, dict[str, float]]:
    """Return how far moved latents are from those of the moved picture: a kind of move -> a kind of scene.

    "shifted" is by half a cell to the right and down, "turned" by 0.3 rad, "scaled" 1.25 times as large. Mean squared
    difference over the latents' variance; 0 for latents that move as the picture does, 2 for unrelated ones. What came
    from beyond the border is left out.
    """
    pixels = to_pixels(pool.videos[:, 0])  # (N, 3, H, W)
    latents = mean_latents(vae, pixels)  # (N, C, h, w)
    cell, size = pixels.shape[-1] // latents.shape[-1], pixels.shape[-2:]
    moves = {
        "shifted": similarity(np.zeros(1), np.ones(1), np.full((1, 2), cell / 2), size),
        "turned": similarity(np.array([0.3]), np.ones(1), np.zeros((1, 2)), size),
        "scaled": similarity(np.zeros(1), np.array([1.25]), np.zeros((1, 2)), size),
    }
    return {name: _a_kind(_apart(vae, pixels, latents, move)) for name, move in moves.items()}


def _apart(vae: AutoencoderKL, pixels: Tensor, latents: Tensor, move: Tensor) -> Tensor:
    # Of pictures (N, 3, H, W), their latents (N, C, h, w) and one move (1, 2, 3) for all of them: (N,).
    moves = move.expand(len(pixels), -1, -1)
    there = mean_latents(vae, moved(pixels, moves).clamp(-1, 1))  # (N, C, h, w)
    inside = is_inside(moves, latents.shape[-2:], margin=1).to(latents.device)  # (N, 1, h, w)
    wrong = (moved(latents, moves) - there).square() * inside  # (N, C, h, w)
    return wrong.mean(dim=(1, 2, 3)) / inside.float().mean(dim=(1, 2, 3)) / latents.var()


@torch.no_grad()
def retrieval(conditioner: ClipConditioner, pool: ClipPool, among: int = 20) -> float:
    """Return the share of frames, one a clip, whose own caption fits best among those of ``among`` clips."""
    pixels = to_pixels(pool.videos[:, pool.settings.frames // 2])  # (N, 3, H, W)
    tokens = conditioner.tokenize(pool.captions)  # (N, L)
    table = similarities(conditioner, pixels.to(conditioner.device), tokens.to(conditioner.device)).cpu()  # (N, N)
    starts = range(0, len(table) - among + 1, among)
    blocks = [table[start : start + among, start : start + among] for start in starts]
    return float(np.mean([(block.argmax(1) == torch.arange(among)).float().mean() for block in blocks]))


def sample_clips(backbone: DynamiCrafter, pool: ClipPool, settings: SamplingSettings) -> np.ndarray:
    """Generate the first clips of a pool from their first frames and captions: (N, F, H, W, 3) uint8 RGB."""
    videos = []
    for start in range(0, settings.clips, settings.batch):
        clips = range(start, min(start + settings.batch, settings.clips))
        firsts = to_pixels(pool.videos[clips.start : clips.stop, 0]) / 2 + 0.5  # (B, 3, H, W)
        requests = [
            ClipRequest(pool.captions[clip], seed=clip, image=first) for clip, first in zip(clips, firsts, strict=True)
        ]
        videos.append(_sample(backbone, requests, settings))
    return np.concatenate(videos)


def generator_figures(
    backbone: DynamiCrafter, pool: ClipPool, videos: np.ndarray, clips: Sequence[int]
) -> dict[str, Any]:
    """Return the figures of some of the generated clips (N, F, H, W, 3) against what they were to show.

    ``first_frame`` and ``vae_limit`` are the PSNR [dB] of generated and of reconstructed first frames against the
    input image, ``last_frame`` that of generated last frames against the rendered clip's, ``still_last_frame`` what a
    video that never moves would have there. ``direction_right`` of ``direction_counted`` clips move as their caption
    says; ``direction_right_truth`` is how many of the rendered clips are told right by the same measurement.
    ``colour_kept`` is the mean of :func:`colour_kept`, ``shape_kept`` that of :func:`shape_kept`, ``shape_right`` that
    of :func:`shape_right`; ``flicker`` is in 8-bit levels; ``rest`` are those of :func:`rest_figures`. ``_truth`` is
    the rendered clips' own and ``_vae`` that of the VAE's reconstructions of them.
    ``guess_error`` are those of :func:`~stereozero.world.training.guesses.guess_errors`.
    """
    truth, made = rendered_like(pool, videos)[clips], videos[clips]
    through_vae = _reconstructed(backbone.modules.vae, truth)
    firsts = to_pixels(pool.videos[clips, 0])  # (N, 3, H, W)
    scenes = [scene_of(pool.settings, index) for index in clips]
    return {
        "first_frame": float(psnr(to_pixels(made[:, 0]), firsts).mean()),
        "vae_limit": float(psnr(reconstruct(backbone.modules.vae, firsts), firsts).mean()),
        "last_frame": float(psnr(to_pixels(made[:, -1]), to_pixels(truth[:, -1])).mean()),
        "still_last_frame": float(psnr(firsts, to_pixels(truth[:, -1])).mean()),
        **direction_figures(scenes, made, truth),
        "colour_kept": _mean_of(colour_kept, scenes, made, truth),
        "shape_kept": _mean_of(shape_kept, scenes, made, truth),
        "shape_kept_truth": _mean_of(shape_kept, scenes, truth, truth),
        "shape_kept_vae": _mean_of(shape_kept, scenes, through_vae, truth),
        "shape_right": _mean_of(shape_right, scenes, made, truth),
        "shape_right_vae": _mean_of(shape_right, scenes, through_vae, truth),
        "flicker": _flicker(made),
        "flicker_truth": _flicker(truth),
        "flicker_vae": _flicker(through_vae),
        "rest": rest_figures(made, truth),
        "rest_vae": rest_figures(through_vae, truth),
        "guess_error": guess_errors(backbone, pool, clips),
    }


def rendered_like(pool: ClipPool, videos: np.ndarray) -> np.ndarray:
    """Return the pool's own clips at the frames' times of generated ones (N, F, ...), which move at the default fs."""
    return pool.videos[: len(videos), : videos.shape[1]]


def direction_figures(scenes: Sequence[Scene], videos: np.ndarray, truth: np.ndarray) -> Mapping[str, int]:
    """Count clips whose main object moves as said, of the given videos and of the rendered ones, by optical flow."""
    right = [measured_direction(scene, video) == _said(scene) for scene, video in zip(scenes, videos, strict=True)]
    right_in_truth = [measured_direction(*pair) == _said(pair[0]) for pair in zip(scenes, truth, strict=True)]
    return {
        "direction_right": int(np.sum(right)),
        "direction_right_truth": int(np.sum(right_in_truth)),
        "direction_counted": len(scenes),
    }


def measured_direction(scene: Scene, video: np.ndarray) -> str:
    """Tell where a scene's main object goes in a video (F, H, W, 3) uint8 that starts with the scene's first frame.

    The points of the object in the first frame are followed by dense optical flow from frame to frame.

    Returns:
        "left", "right", "up", "down", "towards", "away" or "still".
    """
    points = _points_of_main(scene, video.shape)  # (P, 2)
    first, *_, last = follow(video, points)  # (P, 2) each
    centres = np.median(first, axis=0), np.median(last, axis=0)  # (2,) each
    x, y = (centres[1] - centres[0]) / video.shape[2] * 100
    if max(abs(x), abs(y)) > _LEAST_SHIFT:
        return ("right" if x > 0 else "left") if abs(x) > abs(y) else ("down" if y > 0 else "up")
    radii = [np.median(np.linalg.norm(at - centre, axis=1)) for at, centre in zip((first, last), centres, strict=True)]
    growth = math.log((radii[1] + 1e-6) / (radii[0] + 1e-6))
    if abs(growth) > _LEAST_GROWTH:
        return "towards" if growth > 0 else "away"
    return "still"


def follow(video: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Follow points (P, 2) [px, x and y] of a video's first frame by DIS optical flow: (F, P, 2)."""
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow.setFinestScale(0)
    tracks = [points.astype(np.float32)]
    greys = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in video]
    for before, after in itertools.pairwise(greys):
        field = flow.calc(before, after, None)  # (H, W, 2)
        x, y = tracks[-1].T[:, None]  # (1, P) each
        step = cv2.remap(field, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0]  # (P, 2)
        tracks.append(tracks[-1] + step)
    return np.stack(tracks)


def colour_kept(scene: Scene, video: np.ndarray, truth: np.ndarray) -> float:
    """Return how well the area that has the main object's colour in the last frame agrees with the rendered clip's.

    Args:
        scene: names the main object; its colour is the median of its pixels in the first rendered frame.
        video, truth: (F, H, W, 3) uint8 RGB.

    Returns:
        The smaller of both areas over the larger, 1 for a perfect clip; 0 where the colour is gone. Pixels count whose
        distance from the colour is below a fifth of the range.
    """
    colour = _main_colour(scene, truth)
    areas = [has_colour(clip[-1], colour).sum() for clip in (video, truth)]
    return float(min(areas) / max(1, *areas))


def shape_kept(scene: Scene, video: np.ndarray, truth: np.ndarray) -> float:
    """Return how well the main object's outline in the last frame fits that in the first, :func:`overlap`.

    Args:
        scene: names the main object.
        video: (F, H, W, 3) uint8 RGB.
        truth: the rendered clip, which tells the object's colour; (F, H, W, 3) uint8 RGB.

    Returns:
        1 for the same shape, however large and wherever it is. Even of rendered clips it isn't 1, since outlines are
        cut out by colour: of a patterned or partly hidden object not all is found.
    """
    colour = _main_colour(scene, truth)
    return overlap(*(largest_part(has_colour(frame, colour)) for frame in (video[0], video[-1])))


def shape_right(scene: Scene, video: np.ndarray, truth: np.ndarray) -> float:
    """Return how well the main object's outline in the last frame fits that in the rendered one, :func:`overlap`.

    Unlike :func:`shape_kept` it is 1 for the rendered clip, whatever pattern the object has and however it turned.

    Args:
        scene, video, truth: as there.
    """
    colour = _main_colour(scene, truth)
    return overlap(*(largest_part(has_colour(clip[-1], colour)) for clip in (truth, video)))


def rest_figures(videos: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Return how much videos change from frame to frame where nothing moves, which can be nothing but flicker.

    Args:
        videos, truth: (N, F, H, W, 3) uint8 RGB; nothing moves where the rendered clips hardly change, nor within 4 px.

    Returns:
        "share", of the pixels and frames that are at rest, "change", their mean absolute change [8-bit levels], and
        "seen", the share of them that change by more than 4 levels; NaN the latter two if nothing is at rest.
    """
    changes = np.abs(np.diff(truth.astype(np.int16), axis=1)).max(axis=-1)  # (N, F - 1, H, W)
    at_rest = minimum_filter(changes <= _REST_CHANGE, size=(1, 1, _REST_WINDOW, _REST_WINDOW))
    flicker = np.abs(np.diff(videos.astype(np.int16), axis=1)).mean(axis=-1)[at_rest]  # (P,)
    if not flicker.size:
        return {"share": 0.0, "change": math.nan, "seen": math.nan}
    return {
        "share": float(at_rest.mean()),
        "change": float(flicker.mean()),
        "seen": float((flicker > _SEEN_CHANGE).mean()),
    }


def _points_of_main(scene: Scene, shape: Sequence[int]) -> np.ndarray:
    mask = _main_mask(scene, shape)
    rows, columns = np.nonzero(mask)
    return np.stack([columns, rows], axis=1)


def _main_colour(scene: Scene, truth: np.ndarray) -> np.ndarray:
    return np.median(truth[0][_main_mask(scene, truth.shape)], axis=0)  # (3,)


def _main_mask(scene: Scene, shape: Sequence[int]) -> np.ndarray:
    # The first of as many frames as the video has: where the main object is seen, (H, W) bool.
    frames, height, width = shape[:3]
    return render_clip(scene, frames, height, width, strength=4.0).layer_ids[0] == scene.main


def _said(scene: Scene) -> str:
    return scene.layers[scene.main].direction


def _a_kind(values: Tensor) -> dict[str, float]:
    # One value a clip (N,) -> the mean a kind of scene; the kinds take turns.
    return {kind: float(values[index :: len(KINDS)].mean()) for index, kind in enumerate(KINDS)}


@torch.no_grad()
def _sample(backbone: DynamiCrafter, requests: Sequence[ClipRequest], settings: SamplingSettings) -> np.ndarray:
    height, width = requests[0].image.shape[1:]
    seeds = [request.seed for request in requests]
    latents = initial_latents(backbone, seeds, height, width, backbone.device)  # (B, C, F, h, w)
    schedule = ddim_schedule(backbone.schedule, settings.steps, spacing=backbone.spacing)
    pair = backbone.encode_conditioning(requests)
    hold_below = backbone.variant.hold_below
    for now in sample(backbone, pair, schedule, latents, seeds, guidance=settings.guidance, hold_below=hold_below):
        latents = now
    pixels = backbone.decode_latents(latents) * 2 - 1  # (B, F, 3, H, W)
    return to_frames(pixels.flatten(0, 1)).reshape(*pixels.shape[:2], height, width, 3)


def _reconstructed(vae: AutoencoderKL, videos: np.ndarray) -> np.ndarray:
    # (N, F, H, W, 3) uint8 RGB, and so returned.
    return to_frames(reconstruct(vae, to_pixels(np.concatenate(videos)))).reshape(videos.shape)


def _mean_of(
    measure: Callable[[Scene, np.ndarray, np.ndarray], float],
    scenes: Sequence[Scene],
    videos: np.ndarray,
    truth: np.ndarray,
) -> float:
    return float(np.mean([measure(*each) for each in zip(scenes, videos, truth, strict=True)]))


def _flicker(videos: np.ndarray) -> float:
    return float(np.mean([np.nanmean(flicker_of_view(video)[0]) for video in videos]))
