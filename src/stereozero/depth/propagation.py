"""Propagation of per-frame depth along a clip's motion, which makes it consistent in time (paper, D.1, Eq. 12).

Every frame's map is carried to every other frame, from neighbour to neighbour in both directions, and what arrives at
a frame is averaged. A point is taken to keep its value while it moves, so a map of something that approaches the
camera becomes an average over time.

:func:`propagate` samples backward, as the equation has it: a frame's pixel looks up where it was in the neighbour.
Pixels that the neighbour does not show (occluded there, or outside the picture) look up nothing: forward and backward
flow contradict each other there, and the mean is taken over what is left. A frame's own map is always left.

:func:`propagate_reference` does what the released code does: it pushes values forward to rounded positions, goes back
in time with the same field's negative, leaves zeros in gaps, and counts these zeros in the mean.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from stereozero.depth.flow import Flow
from stereozero.errors import InputError

TOLERANCE = 0.1
"""Forward and backward flow of a visible point cancel up to this length [percent of the width].

1 px at 1024 px, the released code's threshold. In pixels it would be far too much for small frames: with exact flow on
the world's clips of 96 px, 1 px triples the error of the propagated disparity (measured, see the tests).
"""


def propagate(maps: Tensor, flow: Flow, tolerance: float = TOLERANCE) -> Tensor:
    """Average every frame's map with all others carried to it (Eq. 12, from every frame as start).

    Sampling is linear, so the maps of all starts travel as one sum and one sum of weights: the cost grows with F, not
    with its square, and the result is the mean over starts. A pixel between valid and invalid ones counts by the
    valid share.

    Args:
        maps: (F, H, W) float32 of any unit. Give it disparity or inverse depth rather than depth: what is averaged
            should be linear in the shift between the views.
        flow: the motion between neighbouring frames, at the maps' size.
        tolerance: a pixel is visible in the neighbour if forward and backward flow cancel up to this length [percent
            of the width].

    Returns:
        (F, H, W) float32. One frame comes back as it is.

    Raises:
        InputError: shapes that don't belong together, values that are not finite, or a tolerance that is not positive.
    """
    _check(maps, flow)
    _check_size(maps, flow)
    if not tolerance > 0:
        raise InputError(f"propagation: tolerance is {tolerance}; give a number above 0 (percent of the width)")
    pixels = tolerance / 100 * maps.shape[-1]
    later = _accumulate(maps, flow.backward, ~occluded(flow.backward, flow.forward, pixels))  # (F, 2, H, W)
    visible = ~occluded(flow.forward, flow.backward, pixels)  # (F - 1, H, W)
    earlier = _accumulate(maps.flip(0), flow.forward.flip(0), visible.flip(0)).flip(0)  # (F, 2, H, W)
    sums = later + earlier - _with_weight(maps)  # (F, 2, H, W): both directions begin with the frame's own map
    return sums[:, 0] / sums[:, 1]  # (F, H, W)


def occluded(flow: Tensor, back: Tensor, tolerance: float) -> Tensor:
    """Mark the pixels whose point the other frame does not show, by forward-backward consistency.

    Args:
        flow: (N, 2, H, W) float32 [px], motion from these frames to the others, on these frames' pixels.
        back: (N, 2, H, W) float32 [px], motion from the others to these, on the others' pixels.
        tolerance: length up to which they cancel [px].

    Returns:
        (N, H, W) bool, True where flow and flow back don't cancel, or flow leads out of the picture.
    """
    return (flow_mismatch(flow, back) > tolerance) | _outside(flow)


def flow_mismatch(flow: Tensor, back: Tensor) -> Tensor:
    """Return the length of flow plus flow back, (N, H, W) [px]; arguments as in :func:`occluded`."""
    return torch.linalg.vector_norm(flow + _sample(back, flow), dim=1)


def _accumulate(maps: Tensor, flow: Tensor, visible: Tensor) -> Tensor:
    """Carry maps along the order of frames and add each frame's own on the way.

    Args:
        maps: (F, H, W).
        flow: (F - 1, 2, H, W), entry t leads from frame t + 1 to frame t.
        visible: (F - 1, H, W) bool, entry t tells which pixels of frame t + 1 are seen in frame t.

    Returns:
        (F, 2, H, W): sum of the maps that arrive at each pixel, and of their weights.
    """
    sums = _with_weight(maps)  # (F, 2, H, W)
    for t in range(len(flow)):
        sums[t + 1] += _sample(sums[t : t + 1], flow[t : t + 1])[0] * visible[t]
    return sums


def _with_weight(maps: Tensor) -> Tensor:
    return torch.stack([maps, torch.ones_like(maps)], dim=1)  # (F, 2, H, W)


def _sample(images: Tensor, flow: Tensor) -> Tensor:
    """Read (N, C, H, W) at each pixel's place plus flow (N, 2, H, W) [px], bilinearly; 0 outside the picture."""
    height, width = images.shape[-2:]
    extent = torch.tensor([max(width - 1, 1), max(height - 1, 1)])
    grid = 2 * _landing(flow).movedim(1, -1) / extent - 1  # (N, H, W, 2) in [-1, 1]
    if not len(images):
        return images
    return functional.grid_sample(images, grid, padding_mode="zeros", align_corners=True)


def _landing(flow: Tensor) -> Tensor:
    """Return each pixel's place (x, y) plus flow: (N, 2, H, W) [px]."""
    y, x = torch.meshgrid(*(torch.arange(side) for side in flow.shape[-2:]), indexing="ij")  # (H, W)
    return torch.stack([x, y]) + flow


def _outside(flow: Tensor) -> Tensor:
    """Tell which pixels flow (N, 2, H, W) leads more than half a pixel out of the picture: (N, H, W) bool."""
    height, width = flow.shape[-2:]
    x, y = _landing(flow).unbind(1)  # (N, H, W)
    return (x < -0.5) | (x > width - 0.5) | (y < -0.5) | (y > height - 0.5)


# As the released code does it


def propagate_reference(maps: Tensor, flow: Flow, interval: int = 1) -> Tensor:
    """Propagate as the released code does, for comparison with it.

    Args:
        maps: (F, H, W) float32; 0 means a gap.
        flow: only ``forward`` is used. Another size than the maps' is brought to theirs, its vectors left as they are.
        interval: distance of the frames that are starts; an incomplete interval at the end has none.

    Returns:
        (F, H, W) float32, the plain mean over the starts, gaps counted as 0.

    Raises:
        InputError: shapes that don't belong together, values that are not finite, or an interval outside 1 ... F.
    """
    _check(maps, flow)
    if not 1 <= interval <= len(maps):
        raise InputError(
            f"propagation: interval is {interval}; it must lie in 1 ... {len(maps)} (the frames there are)"
        )
    starts = range(0, len(maps) - interval + 1, interval)
    field = _enlarged(flow.forward, *maps.shape[1:])  # (F - 1, 2, H, W)
    return sum(propagate_from(start, maps, field) for start in starts) / len(starts)  # (F, H, W)


def propagate_from(start: int, maps: Tensor, field: Tensor) -> Tensor:
    """Carry one frame's map to all frames, as the released code does.

    Gaps are filled from the neighbour on the side of the start, but what travels on is the unfilled map.

    Args:
        start: index of the frame.
        maps: (F, H, W) float32.
        field: (F - 1, 2, H, W) float32 [px], motion to the next frame.

    Returns:
        (F, H, W) float32, 0 in gaps.
    """
    carried = maps.clone()
    filled = maps.clone()
    for t in range(start + 1, len(maps)):
        carried[t] = splat(carried[t - 1], field[t - 1])
        filled[t] = fill_gaps(carried[t], [carried[t - 1]])
    for t in range(start - 1, -1, -1):
        carried[t] = splat(carried[t + 1], -field[t])
        filled[t] = fill_gaps(carried[t], [carried[t + 1]])
    return filled


def splat(image: Tensor, flow: Tensor) -> Tensor:
    """Push each pixel of (H, W) to its place plus flow (2, H, W) [px], rounded half to even.

    Of several pixels that arrive at one place the last in reading order stays. Places where none arrives are 0.
    """
    height, width = image.shape
    x, y = _landing(flow[None])[0].round().long()  # (H, W) each
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    place = (y * width + x)[inside]  # (N,)
    source = torch.arange(1, height * width + 1).reshape(height, width)[inside]  # (N,): from 1; 0 is nothing
    last = torch.zeros(height * width, dtype=torch.int64).scatter_reduce_(0, place, source, "amax")  # (H * W,)
    return functional.pad(image.flatten(), (1, 0))[last].reshape(height, width)


def fill_gaps(image: Tensor, others: Sequence[Tensor]) -> Tensor:
    """Replace the zeros of (H, W) by the other maps' values at the same pixel, the first that is not 0."""
    for other in others:
        image = torch.where(image == 0, other, image)
    return image


def _enlarged(field: Tensor, height: int, width: int) -> Tensor:
    """Bring (N, 2, h, w) to (N, 2, H, W) bilinearly without changing the vectors' lengths."""
    if field.shape[-2:] == (height, width) or not len(field):
        return field
    return functional.interpolate(field, size=(height, width), mode="bilinear", align_corners=False)


# Checks


def _check(maps: Tensor, flow: Flow) -> None:
    if maps.ndim != 3 or 0 in maps.shape:
        raise InputError(f"propagation: the maps have shape {tuple(maps.shape)}; (F, H, W) is right, none of them 0")
    finite = maps.isfinite().all(-1).all(-1)  # (F,)
    if not finite.all():
        frame = finite.tolist().index(False)
        raise InputError(f"propagation: the map of frame {frame} has values that are NaN or infinite")
    for name, field in zip(flow._fields, flow, strict=True):
        if field.ndim != 4 or field.shape[:2] != (len(maps) - 1, 2):
            raise InputError(
                f"propagation: {name} flow has shape {tuple(field.shape)}; {len(maps)} frames need "
                f"({len(maps) - 1}, 2, H, W)"
            )
        if not field.isfinite().all():
            raise InputError(f"propagation: {name} flow has values that are NaN or infinite")


def _check_size(maps: Tensor, flow: Flow) -> None:
    for name, field in zip(flow._fields, flow, strict=True):
        if field.shape[-2:] != maps.shape[-2:]:
            raise InputError(
                f"propagation: {name} flow is {field.shape[-2]} x {field.shape[-1]} pixels, the maps are "
                f"{maps.shape[-2]} x {maps.shape[-1]}; estimate the flow on frames of the maps' size"
            )
