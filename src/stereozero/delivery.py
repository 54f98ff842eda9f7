"""Files for players and headsets: side by side, top-bottom and red-cyan, through ffmpeg's stereo3d filter.

**Names.** Players guess the layout from the file's name. Each suffix below carries the words of several of them, left
eye first everywhere:

- full side by side ``_LRF_Full_SBS``: Pigasus wants ``LRF``, Skybox ``Full_SBS``, DeoVR ``SBS`` or ``LR`` but not
  ``LRF``. The iw3 converter uses this very suffix and reports that all three take it.
- half side by side ``_Half_SBS_LR``: Skybox lists ``LR`` and ``Half SBS`` (any sign between the words), DeoVR ``SBS``
  and ``LR``, Meta's documentation has ``_LR.mp4`` at the very end, iw3 uses ``_LR``.
- full top-bottom ``_TBF_fulltb``: iw3's suffix, the counterpart of ``LRF``.
- half top-bottom ``_Half_OU_TB``: Skybox lists ``TB`` and ``Half OU``, Meta's documentation has ``_TB.mp4`` at the very
  end, iw3 uses ``_TB``.
- anaglyph ``_redcyan_<kind>``: for people; a player is to show it flat.

A clip id that itself contains 180 or 360 makes players take the video for a dome or a sphere.

**Metadata.** x264 writes the frame packing SEI (3 side by side, 4 top-bottom) before every key frame; ffmpeg, Kodi and
3D televisions read it. The MP4 box ``st3d`` is not written: ffmpeg's muxer writes it from a stream's side data only,
which neither libx264 nor the stereo3d filter provides (checked with 9.0). Android's media3 does not read the SEI
(androidx/media issue 3419), so on a headset the name decides.

**Colours.** Everything is 4:2:0, as hardware decoders want it. For anaglyphs this halves the resolution of the very
colours that separate the eyes; sharp edges ghost a little.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from stereozero.artifacts import sha256_of
from stereozero.errors import InputError
from stereozero.video import ACCURATE, check_even_size, encode_h264, raw_stream

log = logging.getLogger(__name__)

CRF = 16
"""x264's quality of delivered files: artefacts that differ between the eyes disturb more than flat ones."""

_SIDE_BY_SIDE = 3
_TOP_BOTTOM = 4
_LARGEST_SHIFT = 25


@dataclass(frozen=True)
class Layout:
    """How two views are brought into one picture.

    Attributes:
        suffix: what players recognise in the file's name.
        packing: stereo3d's name of the output.
        columns: factor on each view's width before packing.
        rows: factor on each view's height before packing.
        signal: x264's ``frame-packing``; None for an anaglyph, which is a flat picture.
    """

    suffix: str
    packing: str
    columns: Fraction = Fraction(1)
    rows: Fraction = Fraction(1)
    signal: int | None = None


_HALF = Fraction(1, 2)
LAYOUTS: Mapping[str, Layout] = {
    "full-sbs": Layout("_LRF_Full_SBS", "sbsl", signal=_SIDE_BY_SIDE),
    "half-sbs": Layout("_Half_SBS_LR", "sbsl", columns=_HALF, signal=_SIDE_BY_SIDE),
    "full-tb": Layout("_TBF_fulltb", "abl", signal=_TOP_BOTTOM),
    "half-tb": Layout("_Half_OU_TB", "abl", rows=_HALF, signal=_TOP_BOTTOM),
    "anaglyph-dubois": Layout("_redcyan_dubois", "arcd"),
    "anaglyph-colour": Layout("_redcyan_colour", "arcc"),
    "anaglyph-half-colour": Layout("_redcyan_half_colour", "arch"),
    "anaglyph-grey": Layout("_redcyan_grey", "arcg"),
}


def file_name(clip_id: str, format_name: str) -> str:
    """Return the name players recognise, e.g. ``robot_LRF_Full_SBS.mp4``.

    Raises:
        InputError: unknown format.
    """
    return f"{clip_id}{_layout(format_name).suffix}.mp4"


def deliver(path: Path, left: np.ndarray, right: np.ndarray, fps: Fraction | float, format_name: str) -> None:
    """Write both views as one H.264 video, 4:2:0, index first.

    Half formats shrink each view by two in one direction (Lanczos) before they are packed, so that the eyes do not mix
    at the seam. Anaglyphs have the left eye red. The same views give the same bytes.

    Args:
        path: the final name; see :func:`file_name`.
        left: uint8 (F, H, W, 3), the left eye's view; H and W even, after halving too.
        right: uint8 (F, H, W, 3).
        fps: frames per second.
        format_name: a key of ``LAYOUTS``.

    Raises:
        InputError: unknown format, views that differ in shape, an odd size.
        StageError: ffmpeg or the file system failed; a file that was there before is untouched.
    """
    layout = _layout(format_name)
    _check_views(left, right)
    height, width = left.shape[1:3]
    rows, columns = height * layout.rows, width * layout.columns
    check_even_size(left, f"{path}, each view")
    if rows % 2 or columns % 2:
        raise InputError(f"{path}: {width}x{height} halved for {format_name} is odd; sides divisible by 4 are right")
    # One stream of alternating frames, L R L R ...: stereo3d packs pairs, and filters before it see one eye at a time.
    alternating = np.stack([left, right], 1).reshape(-1, *left.shape[1:])
    stream = raw_stream(alternating, 2 * Fraction(fps))
    if (rows, columns) != (height, width):
        stream = stream.filter("scale", int(columns), int(rows), flags=ACCURATE.replace("bicubic", "lanczos"))
    stream = stream.filter("stereo3d", "al", layout.packing).filter("setsar", 1)
    signal = f"frame-packing={layout.signal}" if layout.signal else ""
    encode_h264(path, stream, alternating, CRF, signal)


@dataclass(frozen=True)
class Converged:
    """Two views after a convergence shift, of the size they had before.

    Attributes:
        left: uint8 (F, H, W, 3).
        right: uint8 (F, H, W, 3).
        shift: how much smaller every disparity became [percent of width], before the crop was scaled back.
        zoom: the factor by which the crop was scaled back; at least 1.
    """

    left: np.ndarray
    right: np.ndarray
    shift: float
    zoom: float

    def disparity(self, before: float) -> float:
        """Return what a disparity between the original views is between these [percent of width, both]."""
        return (before - self.shift) * self.zoom


def convergence_shift(percentiles: Mapping[str, float | None], behind_screen: float = 2 / 3) -> float:
    """Return the shift that puts a share of the disparity range behind the screen [percent of width].

    Disparity is x_left - x_right of a point, above 0 in front of the screen. The method puts everything in front, up to
    4 % of the width; guidelines for comfort say about -1 % to +2 %.

    Args:
        percentiles: ``disparity_p01`` (far end of the range) and ``disparity_p99`` (near end) between the views, as
            :mod:`stereozero.metrics.disparity` measures them. None: nothing could be matched; the shift is then 0.
        behind_screen: share of the range that goes behind the screen: 0 puts its far end on it, 1 its near end.

    Raises:
        InputError: a share outside [0, 1].
    """
    if not 0 <= behind_screen <= 1:
        raise InputError(f"behind_screen: {behind_screen} is not a share; 0 to 1 is right")
    far, near = percentiles["disparity_p01"], percentiles["disparity_p99"]
    if far is None or near is None:
        log.warning("the disparity between the views is not known; the views are delivered without a convergence shift")
        return 0.0
    return far + behind_screen * (near - far)


def converge(left: np.ndarray, right: np.ndarray, shift: float) -> Converged:
    """Shift two views against each other so that every disparity becomes smaller by ``shift``.

    Each view loses columns on one side, on opposite sides of the two, and rows at top and bottom so that shapes keep;
    then both are scaled back to their size (Lanczos, sub-pixel, so that the shift is exact).

    Args:
        left: uint8 (F, H, W, 3).
        right: uint8 (F, H, W, 3).
        shift: percent of width; above 0 pushes the scene back.

    Raises:
        InputError: views that differ in shape; a shift that is not finite or beyond a quarter of the width.
    """
    _check_views(left, right)
    if not abs(shift) <= _LARGEST_SHIFT:
        raise InputError(
            f"convergence: a shift of {shift:g} % of width; -{_LARGEST_SHIFT} to {_LARGEST_SHIFT} is right"
        )
    height, width = left.shape[1:3]
    lost_columns, lost_rows = abs(shift) / 100 * width, abs(shift) / 100 * height / 2
    # To lower x_left - x_right by the shift, the left view's columns move left and the right view's stay.
    cut = (lost_columns, lost_rows, width, height - lost_rows)
    keep = (0, lost_rows, width - lost_columns, height - lost_rows)
    boxes = (cut, keep) if shift >= 0 else (keep, cut)
    return Converged(_enlarged(left, boxes[0]), _enlarged(right, boxes[1]), shift, 1 / (1 - abs(shift) / 100))


def _enlarged(frames: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    """Scale a part (left, top, right, bottom; in pixels) of every frame to the size of the whole."""
    size = (frames.shape[2], frames.shape[1])
    return np.stack([Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS, box) for frame in frames])


def delivery_facts(
    path: Path, format_name: str, views: Converged, fps: Fraction | float, percentiles: Mapping[str, float | None]
) -> dict[str, Any]:
    """Return what a delivered file's JSON sidecar says.

    Args:
        path: the delivered file, which exists.
        format_name: a key of ``LAYOUTS``.
        views: what was delivered.
        fps: frames per second.
        percentiles: name -> disparity between the original views [percent of width], None where it is not known.

    Raises:
        InputError: unknown format.
    """
    layout = _layout(format_name)
    known = {name: value for name, value in percentiles.items() if value is not None}
    frames, height, width = views.left.shape[:3]
    wide, high = (2 if layout.packing == "sbsl" else 1), (2 if layout.packing == "abl" else 1)
    return {
        "file": path.name,
        "sha256": sha256_of(path),
        "format": format_name,
        "eyes": "left eye red, right eye cyan" if layout.signal is None else "left eye first",
        "frame_packing_sei": layout.signal,
        "frames": frames,
        "fps": float(fps),
        "view": {"width": width, "height": height},
        "picture": {"width": int(wide * width * layout.columns), "height": int(high * height * layout.rows)},
        "convergence": {"shift_percent_of_width": views.shift, "zoom": views.zoom},
        "disparity_percent_of_width": {
            "sign": "above 0 is in front of the screen",
            "before_convergence": dict(percentiles),
            "after_convergence": dict.fromkeys(percentiles)
            | {name: views.disparity(value) for name, value in known.items()},
        },
    }


def _layout(format_name: str) -> Layout:
    if format_name not in LAYOUTS:
        raise InputError(f"format: '{format_name}' is not known; one of {', '.join(LAYOUTS)} is right")
    return LAYOUTS[format_name]


def _check_views(left: np.ndarray, right: np.ndarray) -> None:
    if left.shape != right.shape:
        shapes = f"left {left.shape}, right {right.shape}"
        raise InputError(f"the two views differ in frames or size: {shapes} (F, H, W, 3); they must be equal")
