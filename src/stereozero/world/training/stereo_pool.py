"""Training pairs: both views of rendered frames and which pixels show the same point, kept in memory-mapped files."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from stereozero.artifacts import atomic_path, write_json
from stereozero.errors import InputError
from stereozero.world import KINDS, SPLITS, render_clip, sample_scene
from stereozero.world.training.data import RENDERER_VERSION, step_rng


@dataclass(frozen=True)
class StereoPoolSettings:
    """What a pool of stereo pairs holds.

    Attributes:
        clips: how many; even ones are simple scenes, odd ones complex ones.
        frames: rendered frames a clip, from its start to its end.
        height, width: of a frame [px].
        weakest, strongest: the clips' strengths are drawn from this range [percent of width].
        split: the key of ``stereozero.world.SPLITS`` that the scenes come from.
    """

    clips: int = 4000
    frames: int = 2
    height: int = 64
    width: int = 96
    weakest: float = 2.0
    strongest: float = 8.0
    split: str = "train"


@dataclass(frozen=True, eq=False)
class StereoPool:
    """Rendered pairs, all frames of all clips in a row.

    Attributes:
        settings: what it holds.
        left, right: (N, H, W, 3) uint8 RGB, memory-mapped.
        disparity: (N, H, W) float16, x_left - x_right of the left view's pixels [px]; NaN where the right view does
            not show the point. Memory-mapped.
    """

    settings: StereoPoolSettings
    left: np.ndarray
    right: np.ndarray
    disparity: np.ndarray


_PARTS = {"left": np.uint8, "right": np.uint8, "disparity": np.float16}


def open_stereo_pool(folder: Path, settings: StereoPoolSettings) -> StereoPool:
    """Return the pool that lies in a folder, rendered first if it isn't there or holds something else.

    Raises:
        InputError: an unknown split.
    """
    if settings.split not in SPLITS:
        raise InputError(f"a pool can't be of split {settings.split!r}: use one of {', '.join(SPLITS)}")
    described = {"renderer": RENDERER_VERSION, **asdict(settings)}
    record = folder / f"{settings.split}-stereo.json"
    files = {part: folder / f"{settings.split}-{part}.npy" for part in _PARTS}
    known = json.loads(record.read_text()) if record.is_file() else None
    if known != described or not all(file.is_file() for file in files.values()):
        record.unlink(missing_ok=True)
        _render(files, settings)
        write_json(record, described)
    return StereoPool(settings, **{part: np.load(file, mmap_mode="r") for part, file in files.items()})


def _render(files: dict[str, Path], settings: StereoPoolSettings) -> None:
    shape = (settings.clips * settings.frames, settings.height, settings.width)
    with (
        atomic_path(files["left"]) as left_file,
        atomic_path(files["right"]) as right_file,
        atomic_path(files["disparity"]) as disparity_file,
    ):
        left = np.lib.format.open_memmap(left_file, "w+", np.uint8, (*shape, 3))
        right = np.lib.format.open_memmap(right_file, "w+", np.uint8, (*shape, 3))
        disparity = np.lib.format.open_memmap(disparity_file, "w+", np.float16, shape)
        for index in range(settings.clips):
            place = slice(index * settings.frames, (index + 1) * settings.frames)
            left[place], right[place], disparity[place] = _pair(settings, index)
        for array in (left, right, disparity):
            array.flush()


def _pair(settings: StereoPoolSettings, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    seed = SPLITS[settings.split][index // 2]
    strength = step_rng(seed, index).uniform(settings.weakest, settings.strongest)
    scene = sample_scene(KINDS[index % 2], seed)
    clip = render_clip(scene, settings.frames, settings.height, settings.width, strength=strength)
    shown = np.where(clip.left_hidden, np.nan, clip.disparity_px)
    return np.rint(clip.left * 255), np.rint(clip.right * 255), shown
