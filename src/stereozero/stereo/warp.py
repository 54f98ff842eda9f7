"""The forward warp: move every source sample sideways by its disparity (paper, Appendix B, Eqs. 7, 10 and 11).

A warp is described by a map over the *target*: where in the source row each target cell takes its value from. The map
depends on the disparity alone, so one map serves every tensor that belongs to the disparity (latent, noise, masks):

    columns = source_columns(disparity, strength)        # whole cells, as the released code warps
    positions = source_positions(disparity, strength)    # fractions of a cell

``gather_columns`` and ``sample_positions`` apply a map; ``forward_warp`` does both steps at once.

Sign: a strength above 0 makes the right view of a left source, and content moves to the left, from x to
x - disparity * shift. A strength below 0 makes the left view of a right source, mirrored.

Occlusion: of all source positions x that land on one target cell y, the nearest is the one with the largest
x - y, because x - y *is* its shift. So for a positive strength the rightmost source is in front, for a negative one
the leftmost, and no depth buffer is needed: a maximum over source indices decides. Integer maxima don't depend on the
order in which they are taken, so the result is the same on every run and device.
"""

import math
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor
from torch.nn import functional

from stereozero.errors import InputError

WarpMode = Literal["whole", "subpixel"]

BLANK = -1
"""What a map holds where no source sample lands."""

MAX_STRETCH = 2
"""Neighbours that land at most this many cells apart are one surface (a slope); further apart, the surface is torn.

Two is the largest distance that leaves at most one cell between the neighbours, so a depth step that is bridged
by mistake costs one blended cell. A surface that is seen at a 1.5-fold stretch stays well inside.
"""


class Warped(NamedTuple):
    """A warped tensor and the cells that got nothing.

    Attributes:
        image: (N, C, H, W), the input's dtype; exactly 0 where blank.
        blank: (N, H, W) bool, True where no source sample lands.
    """

    image: Tensor
    blank: Tensor


def forward_warp(image: Tensor, disparity: Tensor, strength: float, mode: WarpMode) -> Warped:
    """Warp an image (or a latent, or a clip with its frames as N) into the other view.

    Args:
        image: (N, C, H, W), any dtype in whole mode, floating point in sub-pixel mode.
        disparity: (N, H, W), floating point in [0, 1], 1 is nearest. The values are not checked here, because that
            would make the host wait for the device; see :func:`check_disparity`.
        strength: the shift of disparity 1, in percent of the width, in [-100, 100]. Above 0 makes the right view.
        mode: "whole" moves by whole cells, as the released code does; "subpixel" by fractions of a cell.

    Raises:
        InputError: for shapes that don't belong together, an unsuitable dtype, strength or mode.
    """
    if mode not in get_args(WarpMode):
        raise InputError(f"warp mode is {mode!r}; it must be one of {', '.join(get_args(WarpMode))}")
    _check_image(image, disparity, "disparity")
    if mode == "whole":
        index = _padded_columns(disparity, strength)  # (N, H, W)
        # logical_not is "== 0" at less than half the time on a CPU.
        return Warped(_gather(_with_zero_column(image), index), index.logical_not())
    positions = source_positions(disparity, strength)  # (N, H, W)
    return Warped(sample_positions(image, positions), positions < 0)


def shift_pixels(strength: float, width: int) -> float:
    """Return the shift of disparity 1 in cells, with the sign of ``strength``.

    Raises:
        InputError: if ``strength`` is not a finite number in [-100, 100] (percent of the width).
    """
    if not math.isfinite(strength) or abs(strength) > 100:
        raise InputError(f"strength is {strength}; it must lie in -100 ... 100 (percent of the width)")
    return strength / 100 * width


def check_disparity(disparity: Tensor, name: str = "disparity") -> None:
    """Check a disparity's values. Makes the host wait for the device, so call it once per disparity.

    Args:
        disparity: any shape.
        name: what to call it in the message.

    Raises:
        InputError: if a value is NaN, infinite or outside [0, 1].
    """
    finite = disparity.isfinite()
    if not finite.all():
        count = int((~finite).sum())
        raise InputError(f"{name} has {count} of {disparity.numel()} values that are NaN or infinite")
    if disparity.numel() and not ((disparity >= 0) & (disparity <= 1)).all():
        low, high = disparity.min().item(), disparity.max().item()
        raise InputError(f"{name} reaches from {low:g} to {high:g}; it must lie in 0 ... 1 (1 is nearest)")


# Whole cells


def source_columns(disparity: Tensor, strength: float) -> Tensor:
    """Return the whole-cell map: for each target cell the source column that lands there.

    Equal, bit for bit, to the released code's loop over pixels: the shift is computed in float32 and truncated toward
    zero, destinations outside the row are dropped, the source with the larger shift wins.

    Args:
        disparity: (N, H, W), floating point in [0, 1].
        strength: percent of the width, in [-100, 100].

    Returns:
        (N, H, W) int64 on the disparity's device; ``BLANK`` (-1) where no source lands.

    Raises:
        InputError: for an unsuitable disparity shape or dtype, or strength.
    """
    return _padded_columns(disparity, strength) - 1


def gather_columns(image: Tensor, columns: Tensor) -> Tensor:
    """Apply a whole-cell map to a tensor.

    Args:
        image: (N, C, H, W), any dtype.
        columns: (N, H, W) int64 from :func:`source_columns`.

    Returns:
        (N, C, H, W), the image's dtype; exactly 0 where the map is blank.

    Raises:
        InputError: if the shapes don't belong together.
    """
    _check_image(image, columns, "map")
    return _gather(_with_zero_column(image), columns + 1)


def _padded_columns(disparity: Tensor, strength: float) -> Tensor:
    """Return the whole-cell map as indices into a row with one cell put in front: column x is x + 1, blank is 0."""
    _check_disparity_tensor(disparity)
    width = disparity.shape[-1]
    shift = shift_pixels(strength, width)
    if shift < 0:
        return _mirror_map(_padded_columns(disparity.flip(-1), -strength), first=1)
    columns = torch.arange(1, width + 1, device=disparity.device)  # (W,)
    # Converting to an integer truncates toward zero. int32 is converted to several times faster than int64 on a CPU.
    target = (disparity.float() * -shift).to(torch.int32).add_(columns.int())  # (N, H, W)
    return _claim(_nothing_in_front(disparity), target, columns)[..., 1:]


# Fractions of a cell


def source_positions(disparity: Tensor, strength: float) -> Tensor:
    """Return the sub-pixel map: for each target cell centre the source position (in columns) that is seen there.

    A row's samples, moved to their targets, are the corners of a polyline. It is cut where the surface folds back (a
    nearer surface begins) or is torn (neighbours land more than ``MAX_STRETCH`` apart: background comes into view).
    Each target centre takes the front-most piece that spans it, by exact inversion of the piece. Samples at a cut
    reach half a cell beyond it, like any pixel. A sample torn off on both sides is dropped: it is a mixture of two
    surfaces in a soft depth edge and would float between them.

    Chosen over depth-buffered splatting of weighted samples because the inverse is exact where disparity is linear
    (splatting is biased wherever a surface is stretched), a surface without cuts can't have cracks, and there is no
    floating-point accumulation, whose order would change the result from run to run on a GPU. A surface that is
    squeezed is sampled at its nearest position, not averaged.

    Args:
        disparity: (N, H, W), floating point in [0, 1].
        strength: percent of the width, in [-100, 100].

    Returns:
        (N, H, W) float32 on the disparity's device: position p means a blend of columns floor(p) and floor(p) + 1;
        ``BLANK`` (-1) where no surface is seen.

    Raises:
        InputError: for an unsuitable disparity shape or dtype, or strength.
    """
    _check_disparity_tensor(disparity)
    width = disparity.shape[-1]
    shift = shift_pixels(strength, width)
    if shift < 0:
        return _mirror_map(source_positions(disparity.flip(-1), -strength), first=0)
    columns = torch.arange(width, device=disparity.device)  # (W,)
    target = columns - disparity.float() * shift  # (N, H, W)
    gap = target.diff(dim=-1)  # (N, H, W - 1): distance of neighbours in the target
    front = _nothing_in_front(disparity)  # (N, H, 1 + W)
    _claim_segments(front, target, gap)
    _claim_cut_ends(front, target, gap)
    return _invert(front[..., 1:], target, gap)


def sample_positions(image: Tensor, positions: Tensor) -> Tensor:
    """Apply a sub-pixel map to a tensor: linear interpolation along the row, computed in float32 at least.

    Args:
        image: (N, C, H, W), floating point and finite.
        positions: (N, H, W) float32 from :func:`source_positions`.

    Returns:
        (N, C, H, W), the image's dtype; exactly 0 where the map is blank.

    Raises:
        InputError: if the shapes don't belong together or the image is not floating point.
    """
    _check_image(image, positions, "map")
    if not image.is_floating_point():
        raise InputError(f"a sub-pixel warp blends values, so it needs floating point; the image is {image.dtype}")
    exact = torch.promote_types(image.dtype, torch.float32)
    left = positions.floor()  # (N, H, W)
    weight = (positions - left).to(exact).unsqueeze(1)  # (N, 1, H, W)
    index = left.to(torch.int64) + 1  # (N, H, W)
    padded = _with_zero_column(image)  # (N, C, H, 1 + W)
    near = _gather(padded, index).to(exact)  # (N, C, H, W)
    far = _gather(padded, (index + 1).clamp_(max=image.shape[-1])).to(exact)  # (N, C, H, W)
    return torch.lerp(near, far, weight).to(image.dtype)


# The pieces of a sub-pixel map are numbered along the row: 2 i + 1 is sample i, 2 i + 2 the segment from i to i + 1.
# A higher number is further right in the source, hence in front; 0 is nothing.


def _claim_segments(front: Tensor, target: Tensor, gap: Tensor) -> None:
    """Let every segment between joined neighbours claim the cell centres in [its left end, its right end)."""
    joined = (gap > 0) & (gap <= MAX_STRETCH)  # (N, H, W - 1)
    first = target[..., :-1].ceil()  # (N, H, W - 1)
    pieces = 2 * torch.arange(gap.shape[-1], device=gap.device) + 2  # (W - 1,)
    for step in range(MAX_STRETCH):  # a half-open interval of this length holds no more centres
        cell = first + step  # (N, H, W - 1)
        reached = joined & (cell < target[..., 1:])  # (N, H, W - 1)
        _claim(front, torch.where(reached, cell + 1, 0), pieces)


def _claim_cut_ends(front: Tensor, target: Tensor, gap: Tensor) -> None:
    """Let every sample beside a cut, or at the frame's border, claim the cell centre within half a cell beyond it."""
    torn = gap > MAX_STRETCH  # (N, H, W - 1)
    cut = torn | (gap <= 0)  # (N, H, W - 1)
    cut_before = functional.pad(cut, (1, 0), value=True)  # (N, H, W)
    cut_after = functional.pad(cut, (0, 1), value=True)  # (N, H, W)
    floating = functional.pad(torn, (1, 0)) & functional.pad(torn, (0, 1))  # (N, H, W)
    cell = (target + 0.5).floor()  # (N, H, W)
    reached = torch.where(cell < target, cut_before, cut_after) & ~floating  # (N, H, W)
    pieces = 2 * torch.arange(target.shape[-1], device=target.device) + 1  # (W,)
    _claim(front, torch.where(reached, cell + 1, 0), pieces)


def _invert(front: Tensor, target: Tensor, gap: Tensor) -> Tensor:
    """Return the source position at which the front-most piece passes each cell centre.

    Args:
        front: (N, H, W) int64, the piece in front at each cell, 0 for none.
        target: (N, H, W), where each sample lands.
        gap: (N, H, W - 1), distance of neighbours in the target.
    """
    cells = torch.arange(target.shape[-1], device=target.device)  # (W,)
    sample = (front - 1 >> 1).clamp_(min=0)  # (N, H, W): the sample itself, or the segment's left end
    length = functional.pad(gap, (0, 1), value=1).gather(-1, sample)  # (N, H, W)
    fraction = (cells - target.gather(-1, sample)) / length  # (N, H, W)
    position = sample + torch.where(front % 2 == 0, fraction, 0)  # (N, H, W)
    return torch.where(front == 0, BLANK, position)


# Shared by both


def _nothing_in_front(disparity: Tensor) -> Tensor:
    """Return an empty record of what is in front: (N, H, 1 + W) int64, all 0. Its column 0 takes what is dropped."""
    n, height, width = disparity.shape
    return torch.zeros((n, height, 1 + width), dtype=torch.int64, device=disparity.device)


def _claim(front: Tensor, column: Tensor, pieces: Tensor) -> Tensor:
    """Record in ``front`` which piece is in front at each cell, and return it.

    Args:
        front: (N, H, 1 + W) int64, changed in place; cell x has column x + 1, column 0 is a bin.
        column: (N, H, K), the column that each piece claims, used up; a negative one goes to the bin.
        pieces: (K,) int64, the pieces' numbers, from 1; the highest is in front.
    """
    # The upper clamp is never needed for a valid disparity; with an invalid one it keeps the memory access legal.
    index = column.clamp_(0, front.shape[-1] - 1).to(torch.int64)  # (N, H, K)
    return front.scatter_reduce_(-1, index, pieces.expand_as(index), "amax")


def _mirror_map(mirrored: Tensor, first: int) -> Tensor:
    """Turn the map of mirrored views into the map of the views, where column 0 is called ``first``, blank one less."""
    ends = mirrored.shape[-1] - 1 + 2 * first
    return torch.where(mirrored < first, first - 1, ends - mirrored).flip(-1)


def _with_zero_column(image: Tensor) -> Tensor:
    """Put a column of zeros in front, for blank cells to be read from: (N, C, H, 1 + W).

    On a CPU this costs a sixth of blanking the result with a mask.
    """
    return functional.pad(image, (1, 0))


def _gather(padded: Tensor, index: Tensor) -> Tensor:
    """Read (N, C, H, W) from the padded image (N, C, H, 1 + W) at (N, H, W)."""
    return padded.gather(-1, index.unsqueeze(1).expand(-1, padded.shape[1], -1, -1))


def _check_disparity_tensor(disparity: Tensor) -> None:
    if disparity.ndim != 3 or 0 in disparity.shape:
        raise InputError(f"disparity has shape {tuple(disparity.shape)}; it must be (N, H, W), none of them 0")
    if not disparity.is_floating_point():
        raise InputError(f"disparity is {disparity.dtype}; it must be floating point in 0 ... 1")


def _check_image(image: Tensor, other: Tensor, name: str) -> None:
    """Check that an image (N, C, H, W) and a map or disparity (N, H, W) belong together."""
    if image.ndim != 4:
        raise InputError(f"image has shape {tuple(image.shape)}; it must be (N, C, H, W)")
    n, _, height, width = image.shape
    if tuple(other.shape) != (n, height, width):
        raise InputError(
            f"image has shape {tuple(image.shape)} and {name} {tuple(other.shape)}; "
            f"the {name} must be {(n, height, width)}"
        )
    if image.device != other.device:
        raise InputError(f"image is on {image.device} and {name} on {other.device}; they must be on one device")
