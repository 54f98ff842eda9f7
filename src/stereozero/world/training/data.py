"""Training clips: rendered once to a memory-mapped file, and drawn from it by numbers that depend on the step alone.

Which clips a step sees follows from (seed, step). So a training that resumes sees what an uninterrupted one would.
"""

import json
import logging
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from stereozero.artifacts import atomic_path, write_json
from stereozero.errors import InputError
from stereozero.world import KINDS, SPLITS, WORDING, Scene, caption, render_clip, sample_scene
from stereozero.world.geometry import View
from stereozero.world.renderer import layer_ids

log = logging.getLogger(__name__)

RENDERER_VERSION = 1  # raised when the same seed renders other pixels
_STRENGTH = 4.0  # of the stereo pair; only the left view is used, and it doesn't depend on it
_PART = 500  # clips that one process renders at a time


@dataclass(frozen=True)
class PoolSettings:
    """What a pool of clips holds.

    Attributes:
        clips: how many; even ones are simple scenes, odd ones complex ones.
        frames: rendered frames a clip, at equal times from its start to its end.
        height, width: of a frame [px].
        pace: one of ``stereozero.world.PACES``; "even" clips follow from their first frames and captions.
        split: the key of ``stereozero.world.SPLITS`` that the scenes come from.
        start: seeds of the split to pass over.
    """

    clips: int = 18000
    frames: int = 15
    height: int = 64
    width: int = 96
    pace: str = "even"
    split: str = "train"
    start: int = 0


@dataclass(frozen=True, eq=False)
class ClipPool:
    """Rendered clips and their captions.

    Attributes:
        settings: what it holds.
        videos: (N, F, H, W, 3) uint8 RGB, memory-mapped.
        captions: N sentences.
    """

    settings: PoolSettings
    videos: np.ndarray
    captions: tuple[str, ...]

    @cached_property
    def turning(self) -> np.ndarray:
        """(N,) bool, whether the caption tells of a main object that turns."""
        return np.array([" turns to the " in told for told in self.captions])


def scene_of(settings: PoolSettings, index: int) -> Scene:
    """Return the scene of one clip of a pool; the kinds take turns."""
    seeds = SPLITS[settings.split]
    return sample_scene(KINDS[index % 2], seeds[settings.start + index // 2], settings.pace)


def open_pool(folder: Path, settings: PoolSettings) -> ClipPool:
    """Return the pool that lies in a folder; if it isn't there or holds something else, all cores render it first.

    Clips told in an older wording are told anew, not rendered again.

    Raises:
        InputError: more clips than the split has seeds, or an unknown split.
    """
    _check(settings)
    described = {"renderer": RENDERER_VERSION, **asdict(settings)}
    record, videos = folder / f"{settings.split}.json", folder / f"{settings.split}.npy"
    known = json.loads(record.read_text()) if record.is_file() else {}
    if known.get("settings") != described or not videos.is_file():
        record.unlink(missing_ok=True)
        _render(videos, settings)
        known = {}
    if known.get("wording") != WORDING:
        captions = [caption(scene_of(settings, index)) for index in range(settings.clips)]
        known = {"settings": described, "wording": WORDING, "captions": captions}
        write_json(record, known)
    return ClipPool(settings, np.load(videos, mmap_mode="r"), tuple(known["captions"]))


def step_rng(seed: int, step: int) -> np.random.Generator:
    """Return the generator from which one step of a training draws its batch."""
    return np.random.default_rng([seed, step])


class Frames(NamedTuple):
    """Single frames.

    Attributes:
        pixels: (N, 3, H, W) float32 in [-1, 1].
        on_object: (N, 1, H, W) bool, where they show objects, and not walls or floors.
    """

    pixels: Tensor
    on_object: Tensor


def draw_frames(pool: ClipPool, rng: np.random.Generator, count: int) -> Frames:
    """Return random frames of random clips, half of them mirrored."""
    clips = rng.integers(len(pool.videos), size=count)
    times = rng.integers(pool.settings.frames, size=count)
    frames = np.stack([pool.videos[clip, time] for clip, time in zip(clips, times, strict=True)])
    on_object = np.stack([object_mask(pool.settings, clip, time) for clip, time in zip(clips, times, strict=True)])
    mirrored = rng.random(count) < 0.5
    frames[mirrored] = frames[mirrored, :, ::-1]
    on_object[mirrored] = on_object[mirrored, :, ::-1]
    return Frames(to_pixels(frames), torch.from_numpy(on_object)[:, None])


def object_mask(settings: PoolSettings, clip: int, time: int) -> np.ndarray:
    """Return where a rendered frame of a clip shows objects, and not walls or floors: (H, W) bool."""
    scene = scene_of(settings, clip)
    ids = layer_ids(View(scene, settings.frames, settings.height, settings.width))
    return ids[time] >= len(scene.backdrops)


def to_pixels(frames: np.ndarray) -> Tensor:
    """Turn (N, H, W, 3) uint8 RGB into what networks take, (N, 3, H, W) float32 in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(frames)).movedim(-1, 1).float() / 127.5 - 1


def to_frames(pixels: Tensor) -> np.ndarray:
    """Turn (N, 3, H, W) in [-1, 1], clamped, into (N, H, W, 3) uint8 RGB."""
    levels = ((pixels.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return levels.movedim(1, -1).contiguous().cpu().numpy()


def _render(path: Path, settings: PoolSettings) -> None:
    shape = (settings.clips, settings.frames, settings.height, settings.width, 3)
    parts = [range(start, min(start + _PART, settings.clips)) for start in range(0, settings.clips, _PART)]
    with atomic_path(path) as temporary:
        np.lib.format.open_memmap(temporary, "w+", np.uint8, shape).flush()
        if len(parts) == 1:
            _render_part(temporary, settings, parts[0])
            return
        with ProcessPoolExecutor(_cores(), mp_context=multiprocessing.get_context("spawn")) as workers:
            running = [workers.submit(_render_part, temporary, settings, part) for part in parts]
            for count, done in enumerate(as_completed(running), 1):
                done.result()
                log.info("rendered %d of %d parts of the pool of %d clips", count, len(parts), settings.clips)


def _render_part(path: Path, settings: PoolSettings, part: range) -> None:
    videos = np.load(path, mmap_mode="r+")
    for index in part:
        clip = render_clip(scene_of(settings, index), settings.frames, settings.height, settings.width, _STRENGTH)
        videos[index] = np.rint(clip.left * 255)
    videos.flush()


def _cores() -> int:
    # That this process may use; a scheduler may have given it fewer than there are.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _check(settings: PoolSettings) -> None:
    if settings.split not in SPLITS:
        raise InputError(f"pool of clips: split {settings.split!r} is unknown: use one of {', '.join(SPLITS)}")
    most = 2 * (len(SPLITS[settings.split]) - settings.start)
    if not 1 <= settings.clips <= most:
        raise InputError(f"pool of {settings.clips} clips: the split {settings.split!r} has 1 to {most}")
