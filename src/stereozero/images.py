"""Conditioning images: read a picture of any kind as RGB, and bring it to the run's size.

A picture in memory is a uint8 array (H, W, 3), sRGB, 0 black and 255 white.
"""

import io
import logging
import struct
import warnings
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from stereozero.errors import InputError
from stereozero.video import writing

log = logging.getLogger(__name__)

Fit = Literal["cover", "contain", "short-side"]

SMALLEST_SIDE = 8
MID_GREY = (128, 128, 128)
"""What is not covered by a picture: 0 in the models' range [-1, 1], rounded to 8 bits."""

_WHITE = (255, 255, 255, 255)
# What Pillow's decoders raise on files that are cut off or damaged; it depends on the format and on the place.
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    RuntimeError,
    struct.error,
    zlib.error,
)


def load_image(path: Path) -> np.ndarray:
    """Read a picture as 8-bit sRGB.

    Every mode is accepted: grey, 1-bit, palette, CMYK and 16-bit grey (divided by 257, nothing is clipped).
    Transparent parts are composited on white. Rotation by EXIF is applied. An embedded colour profile is converted to
    sRGB; one that can't be read is ignored, with a warning. Of an animation the first frame is taken, with a warning.

    Args:
        path: a file in any format that Pillow reads.

    Returns:
        uint8 (H, W, 3), both sides at least 8 pixels.

    Raises:
        InputError: the file is missing, a folder, not a picture, truncated, smaller than 8 pixels on a side, larger
            than about 89 million pixels, or has floating-point or 32-bit pixels (what is white there is not defined).
    """
    path = Path(path)
    with _opened(path) as image:
        if min(image.size) < SMALLEST_SIDE:
            found = f"the picture is {image.width}x{image.height} pixels"
            raise InputError(f"{path}: {found}; at least {SMALLEST_SIDE} pixels on each side are needed")
        try:
            if getattr(image, "n_frames", 1) > 1:
                log.warning("%s: has %d frames; the first one is taken", path, image.n_frames)
            image.load()
            upright = ImageOps.exif_transpose(image)
        except _BROKEN as error:
            raise _damaged(path, error) from error
    return np.array(_on_white(_in_srgb(_in_8_bits(upright, path), path)))


def normalise_image(image: np.ndarray, height: int, width: int, fit: Fit = "cover") -> np.ndarray:
    """Bring a picture to ``height`` x ``width`` without distorting it.

    - ``cover``: scaled until it covers the target, then cropped around its centre. Lanczos.
    - ``contain``: scaled until it fits into the target, then padded with mid-grey on both sides. Lanczos.
    - ``short-side``: as the released DynamiCrafter code does it. The short side is scaled to the target's shorter side,
      then the centre is cropped and, where the picture is narrower than the target, padded with mid-grey. Bilinear.

    All of them average over the source pixels when they shrink (antialiasing).

    Args:
        image: uint8 (h, w, 3).
        height: rows of the result.
        width: columns of the result.
        fit: one of the three rules.

    Returns:
        uint8 (height, width, 3).

    Raises:
        InputError: unknown ``fit``.
    """
    rows, columns = image.shape[:2]
    if fit == "cover":
        return _centred(_scaled(image, max(height / rows, width / columns), Image.Resampling.LANCZOS), height, width)
    if fit == "contain":
        return _centred(_scaled(image, min(height / rows, width / columns), Image.Resampling.LANCZOS), height, width)
    if fit == "short-side":
        return _centred(_short_side_scaled(image, min(height, width)), height, width)
    raise InputError(f"fit: '{fit}' is not known; 'cover', 'contain' or 'short-side' is right")


def save_png(path: Path, image: np.ndarray) -> None:
    """Write a picture, uint8 (H, W, 3), as PNG: without loss, the same bytes for the same pixels.

    Raises:
        StageError: the file system failed; a file that was there before is untouched.
    """
    with writing(Path(path)) as temporary:
        Image.fromarray(image).save(temporary, "PNG")


def _opened(path: Path) -> Image.Image:
    if path.is_dir():
        raise InputError(f"{path}: is a folder; a picture file is expected")
    if not path.exists():
        raise InputError(f"{path}: there is no such file; a picture file is expected")
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            return Image.open(path)
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            limit = Image.MAX_IMAGE_PIXELS // 1_000_000
            raise InputError(f"{path}: the picture has more than {limit} million pixels; make it smaller") from error
        except UnidentifiedImageError as error:
            raise InputError(f"{path}: is not a picture (of a kind that Pillow knows), e.g. PNG or JPEG") from error
        except _BROKEN as error:
            raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: the picture is truncated or damaged ({error}); copy or download the file again")


def _in_8_bits(image: Image.Image, path: Path) -> Image.Image:
    """Return the picture as L, RGB, RGBA or CMYK."""
    if image.mode.startswith("I"):
        return _from_16_bits(np.asarray(image), path)
    if image.mode == "F":
        raise InputError(f"{path}: has floating-point pixels, whose white is not defined; save it with 8 or 16 bits")
    if image.has_transparency_data:
        return image.convert("RGBA")
    if image.mode in ("L", "RGB", "CMYK"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _from_16_bits(levels: np.ndarray, path: Path) -> Image.Image:
    if levels.dtype.itemsize > 2 and (levels.min() < 0 or levels.max() > 65535):
        found = f"has 32-bit pixels from {levels.min()} to {levels.max()}"
        raise InputError(f"{path}: {found}, whose white is not defined; save it with 8 or 16 bits")
    return Image.fromarray(((levels.astype(np.uint32) + 128) // 257).astype(np.uint8))


def _in_srgb(image: Image.Image, path: Path) -> Image.Image:
    profile = image.info.get("icc_profile")
    if not profile:
        return image if image.mode == "RGBA" else image.convert("RGB")
    result = "RGBA" if image.mode == "RGBA" else "RGB"
    try:
        embedded = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.profileToProfile(image, embedded, ImageCms.createProfile("sRGB"), outputMode=result)
    except (ImageCms.PyCMSError, OSError) as error:
        log.warning("%s: its colour profile can't be used and is ignored (%s)", path, error)
        return image.convert(result)


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, _WHITE), image)
    return image.convert("RGB")


def _scaled(image: np.ndarray, factor: float, filter_: Image.Resampling) -> Image.Image:
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    return Image.fromarray(image).resize(size, filter_)


def _short_side_scaled(image: np.ndarray, side: int) -> Image.Image:
    """Scale as torchvision's Resize(side) does: the long side is rounded down."""
    rows, columns = image.shape[:2]
    short, long = min(rows, columns), max(rows, columns)
    long = int(side * long / short)
    size = (side, long) if columns <= rows else (long, side)
    return Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)


def _centred(picture: Image.Image, height: int, width: int) -> np.ndarray:
    """Crop or pad with mid-grey around the centre; an odd pixel goes where torchvision's CenterCrop puts it."""
    canvas = np.empty((height, width, 3), np.uint8)
    canvas[:] = MID_GREY
    pixels = np.asarray(picture)
    rows, columns = (_overlap(*pair) for pair in zip(pixels.shape, (height, width), strict=False))
    canvas[rows[1], columns[1]] = pixels[rows[0], columns[0]]
    return canvas


def _overlap(have: int, want: int) -> tuple[slice, slice]:
    """Return which part of ``have`` pixels is taken, and where in ``want`` pixels it goes."""
    if have >= want:
        start = round((have - want) / 2)
        return slice(start, start + want), slice(0, want)
    start = (want - have) // 2
    return slice(0, have), slice(start, start + have)
