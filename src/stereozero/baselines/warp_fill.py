"""Depth-image-based rendering: warp the source view forward, then fill the holes.

The classical baseline, and what a video model has to beat: geometry is as good as the disparity, invented content is
as good as the fill. Fills are functions of one protocol, :class:`Fill`, looked up by name in ``FILLS``. A fill sees
the whole clip, so one that propagates content over time fits in as well.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import NamedTuple, Protocol

import cv2
import numpy as np
import torch
from torch import Tensor

from stereozero.baselines.propagation import Filling, propagate
from stereozero.errors import InputError
from stereozero.stereo.warp import WarpMode, check_disparity, forward_warp

INPAINT_RADIUS = 3.0
"""Pixels around a point that OpenCV's inpainting looks at."""

_FRAMES_AT_ONCE = 4
"""Frames that are warped together: a sub-pixel warp needs about 150 bytes of working memory a pixel."""


@dataclass(frozen=True)
class WarpedClip:
    """A clip's target view with its holes.

    Attributes:
        frames: (F, 3, H, W) float32, RGB in [0, 1]; without meaning where blank.
        blank: (F, H, W) bool, True where a fill has to put something.
        disparity: (F, H, W) float32 in [0, 1], of the target view; without meaning where blank.
        strength: percent of the width. Content moves left if it is positive, so background comes into view on the
            right of nearer objects, and a hole has the background on its right (and mirrored if negative).
    """

    frames: Tensor
    blank: Tensor
    disparity: Tensor
    strength: float


class Fill(Protocol):
    """A way to fill the holes of a clip."""

    def __call__(self, clip: WarpedClip) -> Filling:
        """Return the clip's frames where not blank, something sensible where blank, and what of that was invented.

        The clip itself must stay as it is.
        """
        ...


class Filled(NamedTuple):
    """A rendered target view.

    Attributes:
        target: (F, H, W, 3) uint8, RGB.
        blank: (F, H, W) bool, True where no source sample landed.
        unseen: (F, H, W) bool, the part of ``blank`` whose content was invented; with the temporal fill the other
            part is content that the source shows in another frame, with any other fill there is none.
    """

    target: np.ndarray
    blank: np.ndarray
    unseen: np.ndarray


def warp_fill(
    frames: np.ndarray,
    disparity: np.ndarray,
    strength: float,
    fill: str,
    *,
    mode: WarpMode = "subpixel",
    halo: int = 1,
    device: str = "cpu",
) -> Filled:
    """Render the target view of a clip.

    Args:
        frames: (F, H, W, 3) RGB, uint8, or floating point in [0, 1].
        disparity: (F, H, W) floating point in [0, 1], 1 is nearest.
        strength: the shift of disparity 1 in percent of the width, in [-100, 100]. Above 0 makes the right view.
        fill: a name in ``FILLS``.
        mode: how to warp, see :func:`stereozero.stereo.warp.forward_warp`.
        halo: columns on the background side of a hole that are filled along with it. Source pixels there often mix
            the background with the object beside it; kept, they would leave the object's outline on the background,
            and the fill would spread it. Holes of one column get none: they are cracks of the whole-cell warp.
        device: torch device of the warp and of the fills that are not OpenCV's.

    Returns:
        The target view, rounded to 8 bits once, to the nearest; and the masks, without the halo.

    Raises:
        InputError: for unsuitable shapes, dtypes or values, or an unknown fill or mode.
    """
    if fill not in FILLS:
        raise InputError(f"fill is {fill!r}; it must be one of {', '.join(FILLS)}")
    if halo < 0:
        raise InputError(f"halo is {halo}; it must be 0 or more")
    holed = warp_clip(frames, disparity, strength, mode=mode, device=device)
    clip = replace(holed, blank=_with_halo(holed.blank, halo, strength))
    frames, unseen = FILLS[fill](clip)
    masks = (mask.cpu().numpy() for mask in (holed.blank, holed.blank & unseen))
    return Filled(_to_8_bit(frames), *masks)


def warp_clip(
    frames: np.ndarray,
    disparity: np.ndarray,
    strength: float,
    *,
    mode: WarpMode = "subpixel",
    device: str | torch.device = "cpu",
) -> WarpedClip:
    """Warp a clip into the target view and leave its holes open; arguments and errors as in :func:`warp_fill`."""
    _check_frames(frames)
    if disparity.shape != frames.shape[:3]:
        raise InputError(f"disparity has shape {disparity.shape}; the frames ask for {frames.shape[:3]}")
    values = _own(disparity)  # (F, H, W)
    check_disparity(values)
    return _warp_clip(_to_tensor(frames, device), values.to(device), strength, mode)


# Fills


def edge_stretch(clip: WarpedClip) -> Tensor:
    """Stretch the pixel at the hole's background end over the hole; which end that is follows from the strength's sign.

    A hole at the frame's border takes the end it has.
    """
    return _fill_from_columns(clip, _background_columns(clip))


def background(clip: WarpedClip) -> Tensor:
    """Repeat the pixel at that end of the hole which is farther away, by disparity."""
    return _fill_from_columns(clip, _farther_end(clip))


def mirror(clip: WarpedClip) -> Tensor:
    """Continue the background into the hole by reflection at its farther end.

    Keeps texture and regular structure where the two fills above draw streaks. Where the reflection would read from
    another hole, from outside the frame or from something nearer than that end, it repeats the end's pixel instead.
    """
    width = clip.blank.shape[-1]
    end = _farther_end(clip)  # (F, H, W)
    columns = torch.arange(width, device=end.device)  # (W,)
    # Half-sample symmetry: the hole's first pixel repeats the end, the second the pixel behind it, and so on.
    reflected = 2 * end - columns - (end - columns).sign()  # (F, H, W)
    inside = (reflected >= 0) & (reflected < width)  # (F, H, W)
    safe_end, safe = end.clamp(0, width - 1), reflected.clamp(0, width - 1)  # (F, H, W) each
    is_hole = clip.blank.gather(-1, safe)  # (F, H, W)
    nearer = clip.disparity.gather(-1, safe) > clip.disparity.gather(-1, safe_end) + _SAME_SURFACE  # (F, H, W)
    return _fill_from_columns(clip, torch.where(inside & ~is_hole & ~nearer, reflected, end))


_SAME_SURFACE = 0.05
"""Disparity by which a slope may come nearer within a hole's width and still be taken for the same background."""


def temporal(clip: WarpedClip) -> Filling:
    """Take the background that other frames show there, by optical flow; for the rest do as :func:`edge_stretch`."""
    columns = _background_columns(clip)  # (F, H, W)
    disparity = clip.disparity.gather(-1, columns)  # (F, H, W)
    return propagate(edge_stretch(clip), clip.blank, disparity, columns)


def inpaint(clip: WarpedClip, method: int) -> Tensor:
    """Fill with OpenCV's inpainting, frame by frame on the CPU, in 8 bits (it takes nothing finer).

    Args:
        clip: the clip.
        method: ``cv2.INPAINT_TELEA`` (fast marching; Telea 2004) or ``cv2.INPAINT_NS`` (Navier-Stokes; Bertalmio
            et al. 2001). Both draw from all sides of a hole, the nearer object's included.
    """
    blank = clip.blank.cpu().numpy()  # (F, H, W)
    frames = _to_8_bit(clip.frames)  # (F, H, W, 3)
    filled = [
        cv2.inpaint(frame, hole.astype(np.uint8), INPAINT_RADIUS, method)  # (H, W, 3)
        for frame, hole in zip(frames, blank, strict=True)
    ]
    result = _to_tensor(np.stack(filled), clip.frames.device)  # (F, 3, H, W)
    return torch.where(clip.blank.unsqueeze(1), result, clip.frames)


def _invented(spatial: Callable[[WarpedClip], Tensor], clip: WarpedClip) -> Filling:
    """Fill each frame by itself: nothing comes from another one."""
    return Filling(spatial(clip), clip.blank)


FILLS: Mapping[str, Fill] = MappingProxyType(
    {
        "edge-stretch": partial(_invented, edge_stretch),
        "background": partial(_invented, background),
        "mirror": partial(_invented, mirror),
        "telea": partial(_invented, partial(inpaint, method=cv2.INPAINT_TELEA)),
        "navier-stokes": partial(_invented, partial(inpaint, method=cv2.INPAINT_NS)),
        "temporal": temporal,
    }
)
"""All fills by the name that a configuration uses."""


# Warp


def _warp_clip(source: Tensor, disparity: Tensor, strength: float, mode: WarpMode) -> WarpedClip:
    """Warp frames (F, 3, H, W) and their disparity (F, H, W) into the target view."""
    layers = torch.cat([source, disparity.float().unsqueeze(1)], dim=1)  # (F, 4, H, W)
    parts = [
        forward_warp(some_layers, some_disparity, strength, mode)
        for some_layers, some_disparity in zip(
            layers.split(_FRAMES_AT_ONCE), disparity.split(_FRAMES_AT_ONCE), strict=True
        )
    ]
    warped = torch.cat([part.image for part in parts])  # (F, 4, H, W)
    blank = torch.cat([part.blank for part in parts])  # (F, H, W)
    return WarpedClip(frames=warped[:, :3], blank=blank, disparity=warped[:, 3], strength=strength)


def _with_halo(blank: Tensor, halo: int, strength: float) -> Tensor:
    """Grow holes of at least two columns toward the background, by ``halo`` columns: (F, H, W) bool."""
    if strength < 0:
        return _with_halo(blank.flip(-1), halo, -strength).flip(-1)
    grown = blank.clone()
    for _ in range(halo):
        grown[..., 2:] |= grown[..., 1:-1] & grown[..., :-2]
    return grown


# Rows


def _nearest_with_value(blank: Tensor) -> tuple[Tensor, Tensor]:
    """Return, for each cell, the nearest column with a value at or before it (-1: none), and at or after it (W: none).

    Args:
        blank: (..., W) bool.

    Returns:
        Two tensors (..., W) int64.
    """
    width = blank.shape[-1]
    columns = torch.arange(width, device=blank.device)  # (W,)
    before = torch.where(blank, -1, columns).cummax(-1).values  # (..., W)
    after = torch.where(blank, width, columns).flip(-1).cummin(-1).values.flip(-1)  # (..., W)
    return before, after


def _farther_end(clip: WarpedClip) -> Tensor:
    """Return the column of the farther end of the hole that each cell lies in, itself if in none: (F, H, W) int64.

    Of two equally far ends, the one that is background by geometry. -1 or W in a row without any value.
    """
    left, right = _nearest_with_value(clip.blank)  # (F, H, W) each
    width = clip.blank.shape[-1]
    left_disparity = clip.disparity.gather(-1, left.clamp(min=0))  # (F, H, W)
    right_disparity = clip.disparity.gather(-1, right.clamp(max=width - 1))  # (F, H, W)
    # At equal disparity the right end is background for a positive strength, the left one for a negative.
    compare = torch.lt if clip.strength > 0 else torch.le
    left_is_farther = compare(left_disparity, right_disparity)  # (F, H, W)
    take_left = (right == width) | ((left >= 0) & left_is_farther)  # (F, H, W)
    return torch.where(take_left, left, right)


def _background_columns(clip: WarpedClip) -> Tensor:
    """Return the column at the background end of the hole that each cell lies in, itself if in none: (F, H, W) int64.

    Which end that is follows from the strength's sign; a hole at the frame's border has one only. Some column in rows
    without any value.
    """
    left, right = _nearest_with_value(clip.blank)  # (F, H, W) each
    width = clip.blank.shape[-1]
    from_right = (left < 0) | (right < width) if clip.strength > 0 else left < 0  # (F, H, W)
    return torch.where(from_right, right, left).clamp(0, width - 1)


def _fill_from_columns(clip: WarpedClip, chosen: Tensor) -> Tensor:
    """Fill each hole cell from a column of its row; rows without any value from the nearest row that has one.

    A frame without any value becomes black.

    Args:
        clip: the clip.
        chosen: (F, H, W) int64, the column to read; outside 0 ... W - 1 only in rows without any value.
    """
    columns = torch.arange(chosen.shape[-1], device=chosen.device)  # (W,)
    source = torch.where(clip.blank, chosen, columns).clamp(0, len(columns) - 1)  # (F, H, W)
    filled = clip.frames.gather(-1, source.unsqueeze(1).expand_as(clip.frames))  # (F, 3, H, W)
    return _fill_empty_rows(filled, clip.blank.all(-1))


def _fill_empty_rows(frames: Tensor, empty: Tensor) -> Tensor:
    """Copy the nearest row with values into each empty row.

    Args:
        frames: (F, 3, H, W).
        empty: (F, H) bool.
    """
    above, below = _nearest_with_value(empty)  # (F, H) each
    height = empty.shape[-1]
    rows = torch.arange(height, device=empty.device)  # (H,)
    take_above = (below == height) | ((above >= 0) & (rows - above <= below - rows))  # (F, H)
    source = torch.where(take_above, above, below).clamp(0, height - 1)  # (F, H)
    copied = frames.gather(2, source[:, None, :, None].expand_as(frames))  # (F, 3, H, W)
    return copied.masked_fill(empty.all(-1)[:, None, None, None], 0)


# Frames


def _check_frames(frames: np.ndarray) -> None:
    if frames.ndim != 4 or frames.shape[-1] != 3 or 0 in frames.shape:
        raise InputError(f"frames have shape {frames.shape}; it must be (F, H, W, 3), none of them 0")
    if frames.dtype == np.uint8:
        return
    if not np.issubdtype(frames.dtype, np.floating):
        raise InputError(f"frames are {frames.dtype}; they must be uint8, or floating point in 0 ... 1")
    low, high = frames.min(), frames.max()
    if not (low >= 0 and high <= 1):
        raise InputError(f"frames reach from {low:g} to {high:g}; floating point frames must lie in 0 ... 1")


def _to_tensor(frames: np.ndarray, device: str | torch.device) -> Tensor:
    """Turn (F, H, W, 3), uint8 or floating point, into (F, 3, H, W) float32 in [0, 1]."""
    tensor = _own(frames).to(device).permute(0, 3, 1, 2)  # (F, 3, H, W)
    scale = 255 if frames.dtype == np.uint8 else 1
    return tensor.contiguous().float() / scale


def _own(array: np.ndarray) -> Tensor:
    """Copy an array into a tensor; torch takes over neither read-only arrays nor flipped ones."""
    return torch.from_numpy(np.array(array, order="C"))


def _to_8_bit(frames: Tensor) -> np.ndarray:
    """Turn (F, 3, H, W) in [0, 1] into (F, H, W, 3) uint8, rounded to the nearest."""
    levels = (frames * 255).round().clamp(0, 255).to(torch.uint8)  # (F, 3, H, W)
    return levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()
