"""Which target pixel shows the same point as a source pixel: stereo matching by OpenCV's SGBM.

Semi-global block matching (Hirschmüller, TPAMI 2008; `cv2.StereoSGBM`), run from the source and from the target and
kept where both agree and an area of some size does. Then refined below a pixel by two Gauss-Newton steps along the
row (Lucas and Kanade 1981), because SGBM's own sub-pixel fit is off by up to 0.3 px. Frames narrower than 384 px are
enlarged before matching, so that small objects are not lost to the matching window.

The views are taken to be rectified: a point is on the same row in both.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from stereozero.metrics.checks import Side, check_side, check_videos

VERSION = 1
SMALLEST_SIDE = 16


@dataclass(frozen=True)
class MatchParameters:
    """Frozen choices of the stereo matching.

    Args:
        nearest: Largest disparity searched, in front of the screen [percent of width].
        farthest: Smallest disparity searched, behind the screen [percent of width]. As far as `nearest`, so that
            swapped eyes are measured as well as right ones.
        working_width: Narrower frames are enlarged by the smallest whole factor that reaches this width [px].
        block: Side of the matching window, after enlargement [px].
        smoothness: Penalty of a disparity step of 1 for each pixel of the window; larger steps cost four times as much
            (OpenCV's own recommendation, 8 and 32).
        uniqueness: The best cost must beat the second best by this much [percent].
        agreement: Largest difference between the match from the source and the one from the target [px of the frame].
        texture: Smallest root mean square horizontal gradient for a pixel to be matchable [levels per px].
        texture_window: Side of the window that gradient is taken over [px].
        speckle_share: Smaller islands of alike disparities are dropped [percent of pixels]; chance matches of views
            that show different things are of this kind.
        speckle_pixels: Smallest island kept in small frames [px].
        speckle_step: Largest disparity step inside an island [px].
        refinement_window: Side of the refinement's window [px].
        refinement_steps: Number of refinement steps.
        refinement_limit: Farthest that refinement may move a match [px].
    """

    nearest: float = 10.0
    farthest: float = -10.0
    working_width: int = 384
    block: int = 5
    smoothness: int = 8
    uniqueness: int = 10
    agreement: float = 1.0
    texture: float = 0.5
    texture_window: int = 7
    speckle_share: float = 0.1
    speckle_pixels: int = 32
    speckle_step: float = 1.0
    refinement_window: int = 5
    refinement_steps: int = 2
    refinement_limit: float = 0.5


DEFAULTS = MatchParameters()


@dataclass(frozen=True, eq=False)
class Match:
    """The matched pixels of a clip, on the source view's grid.

    Args:
        disparity: (F, H, W) float32, x_left - x_right in px, positive in front of the screen; NaN where there is no
            trustworthy match (occluded, outside the other view, without texture).
        target_side: The target view's eye.
    """

    disparity: np.ndarray
    target_side: Side

    @property
    def valid(self) -> np.ndarray:
        """(F, H, W) bool, True where there is a match."""
        return ~np.isnan(self.disparity)

    @property
    def percent(self) -> np.ndarray:
        """(F, H, W) float32, the disparity in percent of the frame's width."""
        return self.disparity * np.float32(100 / self.disparity.shape[2])

    @property
    def target_x(self) -> np.ndarray:
        """(F, H, W) float32, the column of the target view that shows the same point [px]."""
        columns = np.arange(self.disparity.shape[2], dtype=np.float32)
        return columns - self.disparity if self.target_side == "right" else columns + self.disparity


def match_views(
    source: np.ndarray, target: np.ndarray, target_side: Side = "right", parameters: MatchParameters = DEFAULTS
) -> Match:
    """Match every pixel of the source view to the target view.

    Args:
        source: (F, H, W, 3) uint8 RGB.
        target: (F, H, W, 3) uint8 RGB.
        target_side: The target view's eye: "right" when the source is the left view, "left" when it is the right one.
        parameters: Frozen choices.

    Raises:
        InputError: Not videos, shapes differ, frames smaller than 16 px, or an unknown side.
    """
    frames = [
        pair.finish(parameters)[:, ::mirror] for pair, mirror in _raw_pairs(source, target, target_side, parameters)
    ]
    return Match(np.stack(frames), target_side)


def match_views_both_ways(
    source: np.ndarray, target: np.ndarray, target_side: Side = "right", parameters: MatchParameters = DEFAULTS
) -> tuple[Match, Match]:
    """Match the source view to the target view and the target view to the source view.

    The same as `match_views` twice, the second time with the views and the sides exchanged, in about half the time.
    Arguments and errors are those of `match_views`.
    """
    there, back = [], []
    for pair, mirror in _raw_pairs(source, target, target_side, parameters):
        there.append(pair.finish(parameters)[:, ::mirror])
        back.append(pair.exchanged().finish(parameters)[:, ::-mirror])
    source_side: Side = "left" if target_side == "right" else "right"
    return Match(np.stack(there), target_side), Match(np.stack(back), source_side)


def _grey(frame: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)


@dataclass(frozen=True, eq=False)
class _RawPair:
    """A frame's views, matched but not checked.

    Args:
        left: (H, W) uint8 grey.
        right: (H, W) uint8 grey.
        forward: SGBM's disparity of the left view, of enlarged views [px of these].
        backward: The same of the right view.
        factor: Of the enlargement.
    """

    left: np.ndarray
    right: np.ndarray
    forward: np.ndarray
    backward: np.ndarray
    factor: int

    def finish(self, parameters: MatchParameters) -> np.ndarray:
        """Return the left view's disparity in px, (H, W) float32, NaN without trustworthy match."""
        agreed = _keep_agreeing(self.forward, self.backward, parameters.agreement * self.factor)
        disparity = _block_median(agreed, self.factor) / self.factor
        disparity[_gradient_energy(self.left, parameters) < parameters.texture**2] = np.nan
        return _refine(_drop_speckles(disparity, parameters), self.left, self.right, parameters)

    def exchanged(self) -> _RawPair:
        """Return the pair with its views exchanged; mirrored, the right view is the left one of the two."""
        views = (self.right, self.left, self.backward, self.forward)
        return _RawPair(*(view[:, ::-1] for view in views), self.factor)


def _raw_pairs(
    source: np.ndarray, target: np.ndarray, target_side: Side, parameters: MatchParameters
) -> Iterator[tuple[_RawPair, int]]:
    """Yield each frame's views, matched, the source as the left one; and the step of columns that undoes mirroring."""
    check_videos(SMALLEST_SIDE, source=source, target=target)
    check_side(target_side)
    # Mirrored, a right source and its left target are a left source and its right target.
    mirror = -1 if target_side == "left" else 1
    for a, b in zip(source, target, strict=True):
        yield _match_raw(_grey(a)[:, ::mirror], _grey(b)[:, ::mirror], parameters), mirror


def _match_raw(left: np.ndarray, right: np.ndarray, parameters: MatchParameters) -> _RawPair:
    """Match grey (H, W) uint8 views, from the left and from the right."""
    factor = max(1, math.ceil(parameters.working_width / left.shape[1]))
    large_left, large_right = _enlarge(left, factor), _enlarge(right, factor)
    forward = _semi_global(large_left, large_right, parameters)
    backward = _semi_global(large_right[:, ::-1], large_left[:, ::-1], parameters)[:, ::-1]
    return _RawPair(left, right, forward, backward, factor)


def _enlarge(grey: np.ndarray, factor: int) -> np.ndarray:
    if factor == 1:
        return grey
    return cv2.resize(grey, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)


def _semi_global(left: np.ndarray, right: np.ndarray, parameters: MatchParameters) -> np.ndarray:
    """Return SGBM's disparity of the left view in px, (H, W) float32, NaN where it finds none."""
    width = left.shape[1]
    first = math.floor(parameters.farthest / 100 * width)
    count = 16 * math.ceil((parameters.nearest / 100 * width - first) / 16)  # OpenCV wants a multiple of 16
    penalty = parameters.smoothness * parameters.block**2
    matcher = cv2.StereoSGBM_create(
        minDisparity=first,
        numDisparities=count,
        blockSize=parameters.block,
        P1=penalty,
        P2=4 * penalty,
        disp12MaxDiff=-1,  # agreement is checked afterwards, below a pixel
        uniquenessRatio=parameters.uniqueness,
        mode=cv2.STEREO_SGBM_MODE_SGBM,
    )
    # OpenCV leaves out columns whose search range leaves the frame; a border as wide as the range keeps them.
    border = max(-first, first + count)
    padded = [cv2.copyMakeBorder(view, 0, 0, border, border, cv2.BORDER_REPLICATE) for view in (left, right)]
    fixed_point = matcher.compute(*padded)[:, border:-border]
    disparity = fixed_point.astype(np.float32) / 16
    out_of_range = (disparity < parameters.farthest / 100 * width) | (disparity > parameters.nearest / 100 * width)
    disparity[out_of_range] = np.nan  # also OpenCV's own mark of a pixel without match, first - 1
    return disparity


def _keep_agreeing(forward: np.ndarray, backward: np.ndarray, tolerance: float) -> np.ndarray:
    """Set matches to NaN that fall outside the other view or that the match from there contradicts."""
    width = forward.shape[1]
    position = np.arange(width, dtype=np.float32) - forward
    inside = (position >= 0) & (position <= width - 1)
    column = np.where(inside, np.rint(position), 0).astype(np.intp)
    agrees = np.abs(forward - np.take_along_axis(backward, column, axis=1)) <= tolerance
    return np.where(inside & agrees, forward, np.float32(np.nan))


def _block_median(values: np.ndarray, factor: int) -> np.ndarray:
    """Reduce by a whole factor: the median of a block's values, NaN where fewer than half of them are valid."""
    if factor == 1:
        return values.copy()
    height, width = values.shape[0] // factor, values.shape[1] // factor
    blocks = values.reshape(height, factor, width, factor).swapaxes(1, 2).reshape(height, width, factor**2)
    ordered = np.sort(blocks, axis=2)  # NaN last
    count = np.count_nonzero(~np.isnan(ordered), axis=2)
    middle = np.stack([np.maximum(count - 1, 0) // 2, count // 2], axis=2)
    median = np.take_along_axis(ordered, np.minimum(middle, factor**2 - 1), axis=2).mean(axis=2)
    return np.where(2 * count >= factor**2, median, np.float32(np.nan))


def _drop_speckles(disparity: np.ndarray, parameters: MatchParameters) -> np.ndarray:
    """Set small islands of alike disparities to NaN."""
    none = np.iinfo(np.int16).min
    smallest = max(parameters.speckle_pixels, round(parameters.speckle_share / 100 * disparity.size))
    fixed_point = np.where(np.isnan(disparity), none, np.rint(np.nan_to_num(disparity) * 16)).astype(np.int16)
    cv2.filterSpeckles(fixed_point, none, smallest - 1, round(parameters.speckle_step * 16))  # drops up to that size
    return np.where(fixed_point == none, np.float32(np.nan), disparity)


def _derivative(values: np.ndarray) -> np.ndarray:
    """Return the horizontal derivative of a float32 frame (five-point rule) in levels per px."""
    kernel = np.array([[1, -8, 0, 8, -1]], dtype=np.float32) / 12
    return cv2.filter2D(values, -1, kernel, borderType=cv2.BORDER_REFLECT_101)


def _gradient_energy(grey: np.ndarray, parameters: MatchParameters) -> np.ndarray:
    """Return the mean squared horizontal gradient around each pixel, (H, W) float32."""
    gradient = _derivative(grey.astype(np.float32))
    return cv2.blur(gradient * gradient, (parameters.texture_window, parameters.texture_window))


def _refine(disparity: np.ndarray, left: np.ndarray, right: np.ndarray, parameters: MatchParameters) -> np.ndarray:
    """Improve matches below a pixel: minimise the squared grey difference in a window along the row."""
    left, right = left.astype(np.float32), right.astype(np.float32)
    left_gradient, right_gradient = _derivative(left), _derivative(right)
    window = (parameters.refinement_window, parameters.refinement_window)
    columns, rows = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in left.shape[::-1]))
    valid = ~np.isnan(disparity)
    start = np.where(valid, disparity, 0).astype(np.float32)
    refined = start
    for _ in range(parameters.refinement_steps):
        x = columns - refined
        sampled = cv2.remap(right, x, rows, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        slope = (left_gradient + cv2.remap(right_gradient, x, rows, cv2.INTER_LINEAR)) / 2
        slope *= valid  # pixels without match have no say in their neighbours' windows
        mismatch = cv2.blur(slope * (sampled - left), window)
        energy = np.maximum(cv2.blur(slope * slope, window), parameters.texture**2)
        limit = parameters.refinement_limit
        refined = np.clip(refined + mismatch / energy, start - limit, start + limit)
    return np.where(valid, refined, np.float32(np.nan))
