"""Disparity on disk: the pipeline's own artefact, and what users bring along.

Disparity is float32 (F, H, W) in [0, 1]; 1 is nearest, 0 is farthest. Without unit: the strength turns it into pixels.
"""

import json
import re
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as dump_tensors

from stereozero.errors import InputError
from stereozero.video import probe_video, read_grey, read_video, writing

KEY = "disparity"

# A grey clip that went through a lossy codec comes back with chroma a little off; a colour map is off by far more.
_GREY_TOLERANCE = 8

_WHITE = {"|u1": 255, "<u2": 65535, ">u2": 65535}
_VIDEO_HINT = "a .safetensors, .npy or .npz file, a folder of PNG files or a grey video is right"


def save_disparity(path: Path, disparity: np.ndarray, metadata: Mapping[str, str] | None = None) -> None:
    """Write a disparity artefact: safetensors with the one key ``disparity``, the same bytes for the same content.

    Args:
        path: the final name; it appears only when all is on disk.
        disparity: float32 (F, H, W) in [0, 1].
        metadata: kept in the file's header.

    Raises:
        InputError: another type or shape, or a value that is NaN, infinite or outside [0, 1].
        StageError: the file system failed; a file that was there before is untouched.
    """
    if disparity.dtype != np.float32:
        raise InputError(f"{path}: disparity is float32, not {disparity.dtype}")
    _check_shape(disparity, path)
    _check_values(disparity, path)
    content = _with_sorted_header(dump_tensors({KEY: np.ascontiguousarray(disparity)}, dict(metadata or {})))
    with writing(Path(path)) as temporary:
        temporary.write_bytes(content)


def load_disparity(path: Path) -> np.ndarray:
    """Read what :func:`save_disparity` wrote: float32 (F, H, W) in [0, 1], writable.

    Raises:
        InputError: the file is missing or damaged, has no key ``disparity``, or holds what is not disparity.
    """
    _check_exists(Path(path))
    tensors = _tensors(Path(path))
    if KEY not in tensors:
        raise InputError(f"{path}: has no tensor '{KEY}', only {sorted(tensors)}")
    return _checked(tensors[KEY], path)


def read_given_disparity(path: Path, invert: bool = False) -> np.ndarray:
    """Read a disparity that a user brings along.

    - ``.safetensors``: the tensor ``disparity``, or the only one;
    - ``.npy``, ``.npz`` with a single array;
    - a folder of grey PNG files, 8 or 16 bits, in the order of the numbers in their names;
    - a grey video, 8 or more bits per channel; a lossless one is better.

    Floating-point numbers are taken as they are; whole numbers of 8 and 16 bits are divided by 255 and 65535.

    Args:
        path: file or folder.
        invert: True if the file's 0 is nearest (as in a depth map): 1 minus the value is taken.

    Returns:
        float32 (F, H, W) in [0, 1], 1 is nearest.

    Raises:
        InputError: nothing there, not readable, coloured, not three-dimensional, or a value that is NaN, infinite or
            outside [0, 1].
    """
    path = Path(path)
    _check_exists(path)
    disparity = _checked(_raw_levels(path), path)
    return 1 - disparity if invert else disparity


def check_matches(disparity: np.ndarray, frames: int, height: int, width: int, where: str | Path) -> None:
    """Raise InputError unless ``disparity`` (F, H, W) has exactly this many frames, rows and columns.

    Args:
        disparity: any array with three dimensions.
        frames: how many frames the source video has.
        height: the source video's rows.
        width: the source video's columns.
        where: what the message begins with, e.g. the disparity's file.
    """
    found, rows, columns = disparity.shape
    if found != frames:
        raise InputError(f"{where}: the disparity has {found} frames, the source video {frames}; they must be equal")
    if (rows, columns) != (height, width):
        raise InputError(
            f"{where}: the disparity is {columns}x{rows} (width x height), the source video {width}x{height}; "
            "they must be equal: resize the disparity before it is given"
        )


def _raw_levels(path: Path) -> np.ndarray:
    if path.is_dir():
        return _png_levels(path)
    readers = {".safetensors": _only_tensor, ".npy": _array, ".npz": _only_array}
    return readers.get(path.suffix.lower(), _video_levels)(path)


def _check_exists(path: Path) -> None:
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder; {_VIDEO_HINT}")


def _tensors(path: Path) -> dict[str, np.ndarray]:
    try:
        # a copy: what safetensors returns can't be written to
        return {name: np.array(tensor) for name, tensor in load_tensors(path.read_bytes()).items()}
    except (SafetensorError, KeyError, TypeError, OSError) as error:
        hint = "copy the file again, or save it as float32"
        raise InputError(f"{path}: can't be read as safetensors with numpy's types ({error}); {hint}") from error


def _only_tensor(path: Path) -> np.ndarray:
    tensors = _tensors(path)
    if KEY in tensors:
        return tensors[KEY]
    if len(tensors) != 1:
        raise InputError(f"{path}: holds {sorted(tensors)}; a tensor '{KEY}', or one tensor only, is right")
    return next(iter(tensors.values()))


def _array(path: Path) -> np.ndarray:
    return np.asarray(_numpy_content(path))


def _only_array(path: Path) -> np.ndarray:
    content = _numpy_content(path)
    names = sorted(getattr(content, "files", []))
    if len(names) != 1:
        raise InputError(f"{path}: holds {len(names)} arrays {names}; exactly one is right")
    try:
        with content:
            return content[names[0]]
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: can't be read as a numpy file ({error}); save a plain array of numbers") from error


def _numpy_content(path: Path) -> np.ndarray | np.lib.npyio.NpzFile:
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: can't be read as a numpy file ({error}); save a plain array of numbers") from error


def _png_levels(folder: Path) -> np.ndarray:
    files = sorted((file for file in folder.iterdir() if file.suffix.lower() == ".png"), key=_natural_order)
    if not files:
        raise InputError(f"{folder}: a folder without PNG files; {_VIDEO_HINT}")
    frames = [_grey_png(file) for file in files]
    for file, frame in zip(files, frames, strict=True):
        if (frame.shape, frame.dtype) != (frames[0].shape, frames[0].dtype):
            raise InputError(
                f"{file}: is {_described(frame)}, {files[0].name} is {_described(frames[0])}; all frames must be alike"
            )
    return np.stack(frames)


def _natural_order(file: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", file.name)]


def _grey_png(file: Path) -> np.ndarray:
    try:
        with Image.open(file) as image:
            mode, levels = image.mode, np.asarray(image)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{file}: can't be read as a PNG file ({error}); copy the file again") from error
    if mode not in ("L", "I", "I;16", "I;16B"):
        raise InputError(f"{file}: has the mode {mode}; disparity is grey, with 8 or 16 bits (L or I;16)")
    return levels if levels.dtype == np.uint8 else levels.astype(np.uint16)


def _described(frame: np.ndarray) -> str:
    return f"{frame.shape[1]}x{frame.shape[0]} with {8 * frame.dtype.itemsize} bits"


def _video_levels(path: Path) -> np.ndarray:
    if not probe_video(path).pixel_format.startswith("gray"):
        _check_is_grey(path)
    return read_grey(path)


def _check_is_grey(path: Path) -> None:
    frames = read_video(path).frames.astype(np.int16)
    apart = int((frames.max(-1) - frames.min(-1)).max())
    if apart > _GREY_TOLERANCE:
        raise InputError(
            f"{path}: is a coloured video (red, green and blue differ by up to {apart} of 255 levels): a colour-mapped "
            "preview, or the source video? A grey video, brightest nearest, is right"
        )


def _checked(levels: np.ndarray, where: str | Path) -> np.ndarray:
    """Return float32 (F, H, W) in [0, 1] of floating-point values, or of 8- or 16-bit levels."""
    _check_shape(levels, where)
    if levels.dtype.str in _WHITE:
        return levels.astype(np.float32) / np.float32(_WHITE[levels.dtype.str])
    if levels.dtype.kind != "f":
        raise InputError(
            f"{where}: holds {levels.dtype}; floating-point numbers in [0, 1], uint8 (0 to 255) or uint16 (0 to 65535) "
            "are right"
        )
    _check_values(levels, where)
    return levels.astype(np.float32)


def _check_shape(disparity: np.ndarray, where: str | Path) -> None:
    if disparity.ndim != 3 or 0 in disparity.shape:
        hint = f"; squeezed, {np.squeeze(disparity).shape} would do" if np.squeeze(disparity).ndim == 3 else ""
        raise InputError(f"{where}: has the shape {disparity.shape}; (frames, height, width) is right{hint}")


def _check_values(disparity: np.ndarray, where: str | Path) -> None:
    bad = ~np.isfinite(disparity)
    if bad.any():
        frame, row, column = (int(index) for index in np.argwhere(bad)[0])
        nans, infinities = int(np.isnan(disparity).sum()), int(np.isinf(disparity).sum())
        raise InputError(
            f"{where}: has {nans} NaN and {infinities} infinite values, the first in frame {frame}, row {row}, column "
            f"{column}; every value must be a number in [0, 1]"
        )
    low, high = float(disparity.min()), float(disparity.max())
    found = f"(from {low:.9g} to {high:.9g}); [0, 1] with 1 nearest is right"
    if low < 0:
        raise InputError(f"{where}: has negative values {found}: add {-low:.9g}, then divide by {high - low:.9g}")
    if high > 1:
        raise InputError(f"{where}: has values above 1 {found}: divide by {high:.9g}")


def _with_sorted_header(content: bytes) -> bytes:
    """Sort a safetensors header: the library orders metadata by a hash that is another one in every process."""
    (length,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + length])
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of 8, as the library does it
    return struct.pack("<Q", len(text)) + text + content[8 + length :]
