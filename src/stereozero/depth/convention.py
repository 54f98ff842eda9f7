"""One convention for depth: disparity (F, H, W) float32 in [0, 1] over the clip, 1 is nearest.

    estimate -> inverse_depth -> normalise -> downsample

The strength of a method turns it into pixels, so the scale of an estimate is of no importance, but its zero is: the
farthest point of the clip does not move.
"""

import torch
from torch import Tensor
from torch.nn import functional

from stereozero.depth.estimator import DepthEstimate, DepthKind, resize_maps
from stereozero.depth.settings import ROBUST
from stereozero.errors import InputError

_FLAT = 1e-6
"""A range below this share of the largest value is rounding, not depth."""


def to_disparity(estimate: DepthEstimate, percentiles: tuple[float, float] | None = ROBUST) -> Tensor:
    """Return an estimate as disparity in the convention: (F, H, W) float32 in [0, 1].

    Args:
        estimate: of any kind.
        percentiles: see :func:`normalise`; None for inverse depth that lies in [0, 1] and is to stay as it is, which is
            what the released code does with DepthCrafter's.

    Raises:
        InputError: as :func:`metric_to_disparity` and :func:`normalise`.
    """
    values = inverse_depth(estimate)
    return values if percentiles is None else normalise(values, percentiles)


def inverse_depth(estimate: DepthEstimate) -> Tensor:
    """Return an estimate as (F, H, W) that rises with nearness and is linear in disparity, of any scale.

    Metric depth without a focal length is taken to be seen with one and the same in all frames.

    Raises:
        InputError: as :func:`metric_to_disparity`.
    """
    match estimate.kind:
        case DepthKind.INVERSE:
            return estimate.values
        case DepthKind.METRIC:
            focal_length = estimate.focal_length
            return metric_to_disparity(estimate.values, torch.ones(1) if focal_length is None else focal_length)


def metric_to_disparity(depth: Tensor, focal_length: Tensor | float, baseline: float = 1.0) -> Tensor:
    """Return f B / Z (paper, Eq. 6).

    Args:
        depth: (F, H, W) [m], above 0; infinite is allowed and has the disparity 0.
        focal_length: (F,) or a number [px], above 0.
        baseline: distance of the two cameras [m].

    Returns:
        (F, H, W) float32 [px].

    Raises:
        InputError: a depth that is NaN, 0 or negative, or a focal length that is not a number above 0.
    """
    focal = torch.as_tensor(focal_length, dtype=torch.float32).reshape(-1, 1, 1)  # (F or 1, 1, 1)
    if not (focal.isfinite() & (focal > 0)).all():
        raise InputError(f"focal length: is {focal.flatten().tolist()} px; numbers above 0 are right")
    wrong = ~(depth > 0)  # NaN is wrong, too
    if wrong.any():
        raise InputError(
            f"metric depth: {int(wrong.sum())} of {depth.numel()} values are NaN, 0 or negative, the first "
            f"{_at(wrong)}; distances in metres above 0 are right"
        )
    return focal * baseline / depth.float()


def normalise(values: Tensor, percentiles: tuple[float, float] = ROBUST) -> Tensor:
    """Map two percentiles of the whole clip to 0 and 1, linearly; what lies outside is clipped.

    Args:
        values: (F, H, W), larger is nearer.
        percentiles: low and high, in [0, 100]. (0, 100) is the smallest and the largest value.

    Returns:
        (F, H, W) float32 in [0, 1].

    Raises:
        InputError: a value that is NaN or infinite, a clip without depth, or percentiles out of order.
    """
    _check_percentiles(percentiles)
    wrong = ~values.isfinite()
    if wrong.any():
        found = f"{int(wrong.sum())} of {values.numel()} values are NaN or infinite, the first {_at(wrong)}"
        raise InputError(f"depth: {found}; the estimator failed on this clip")
    low, high = (_percentile(values, percent) for percent in percentiles)
    if high - low <= _FLAT * max(abs(low), abs(high)):
        raise InputError(
            f"depth: is {low:.6g} everywhere in the clip ({percentiles[0]:g} to {percentiles[1]:g} percent of its "
            "values), so nothing is nearer than anything else; is the video constant or dark?"
        )
    return ((values.float() - low) / (high - low)).clamp(0, 1)


def downsample(disparity: Tensor, factor: int) -> Tensor:
    """Take away detail: average over cells of ``factor`` x ``factor`` pixels, then back to the size (paper, D.4).

    Up is bilinear with half-pixel centres. The paper does not say how it resizes; the released code goes up so, too.

    Args:
        disparity: (F, H, W).
        factor: 1 (nothing happens), 2 or 4 for 1/2 and 1/4 of the size; any whole number will do that leaves a pixel.

    Raises:
        InputError: a factor that is no whole number, below 1, or above the height or the width.
    """
    height, width = disparity.shape[-2:]
    if int(factor) != factor or not 1 <= factor <= min(height, width):
        raise InputError(
            f"downsampling: is {factor}; a whole number from 1 to {min(height, width)} is right for {width}x{height} "
            "pixels (1, 2 and 4 are the paper's 1, 1/2 and 1/4)"
        )
    if factor == 1:
        return disparity
    small = (-(-height // int(factor)), -(-width // int(factor)))  # rounded up: what is left over is a cell, too
    averaged = functional.interpolate(disparity.unsqueeze(1), small, mode="area").squeeze(1)  # (F, h, w)
    return resize_maps(averaged, height, width)


def _percentile(values: Tensor, percent: float) -> float:
    """Return a percentile of all values: the nearest value, since torch.quantile takes 16 million numbers at most."""
    flat = values.flatten().float()
    place = 1 + round(percent / 100 * (flat.numel() - 1))
    return float(flat.kthvalue(place).values)


def _check_percentiles(percentiles: tuple[float, float]) -> None:
    low, high = percentiles
    if not 0 <= low < high <= 100:
        raise InputError(f"percentiles: are {low:g} and {high:g}; 0 <= low < high <= 100 is right")


def _at(wrong: Tensor) -> str:
    frame, row, column = wrong.nonzero()[0].tolist()
    return f"in frame {frame}, row {row}, column {column}"
