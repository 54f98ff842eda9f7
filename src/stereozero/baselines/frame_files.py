"""Clips as folders of numbered pictures, which is how other people's programs take and leave them."""

from pathlib import Path

import numpy as np
from PIL import Image

from stereozero.errors import StageError


def write_frames(folder: Path, frames: np.ndarray, suffix: str = ".png", **options: int | str) -> None:
    """Write frames as ``00000.png``, ``00001.png``, ... into a new folder.

    Args:
        folder: made here.
        frames: (F, H, W, 3) uint8 RGB or (F, H, W) uint8 grey.
        suffix: of the files; decides the format.
        options: Pillow's, for this format.
    """
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{number:05d}{suffix}", **options)


def read_frames(folder: Path, name: str, count: int, size: tuple[int, int], program: str) -> np.ndarray:
    """Read the frames that a program left.

    Args:
        folder: where they should be.
        name: format string of a frame's name, such as "{:04d}.png".
        count: how many there should be.
        size: (height, width) they should have.
        program: for messages.

    Returns:
        (F, H, W, 3) uint8 RGB.

    Raises:
        StageError: there are none, fewer, more, or frames of another size.
    """
    found = len(list(folder.glob(f"*{Path(name).suffix}"))) if folder.is_dir() else 0
    if not found:
        raise StageError(f"{program}: ended without an error, but left no frames in {folder}")
    if found != count:
        raise StageError(f"{program}: left {found} frames of a clip with {count}, in {folder}")
    return np.stack([_read(folder / name.format(number), size, program) for number in range(count)])


def _read(path: Path, size: tuple[int, int], program: str) -> np.ndarray:
    try:
        frame = np.array(Image.open(path).convert("RGB"))
    except OSError as error:
        raise StageError(f"{program}: its frame {path} can't be read ({error})") from error
    if frame.shape[:2] != size:
        raise StageError(f"{program}: its frame {path} has {frame.shape[:2]} rows and columns, not {size}")
    return frame
