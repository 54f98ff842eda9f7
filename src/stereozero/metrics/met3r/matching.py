"""Geometry from correspondences: where each pixel of view 1 lies in view 2, and whether it is seen there at all."""

from typing import NamedTuple, Protocol, runtime_checkable

import cv2
import numpy as np
import torch
from torch import Tensor

from stereozero.metrics.checks import Side
from stereozero.metrics.matching import DEFAULTS, Match, MatchParameters, match_views, match_views_both_ways
from stereozero.metrics.met3r.geometry import PairFlow, check_pairs


class PairMatch(NamedTuple):
    """Where view 1's pixels lie in view 2.

    ``flow`` points to the right and down [px]. ``visible`` is False where a pixel has no counterpart: outside of view 2
    or hidden there.
    """

    flow: Tensor  # (B, 2, H, W)
    visible: Tensor  # (B, H, W), bool


@runtime_checkable
class PairMatching(Protocol):
    """What finds correspondences.

    Attributes:
        size_factor: what height and width must be multiples of [px].
        smallest_side: what height and width must reach [px].
    """

    size_factor: int
    smallest_side: int

    def match(self, images: Tensor) -> PairMatch:
        """Match view 1 to view 2 of images (B, 2, 3, H, W) in [-1, 1]."""

    def match_both_ways(self, images: Tensor) -> tuple[PairMatch, PairMatch]:
        """Match view 1 to view 2, and view 2 to view 1."""


class FlowMatching:
    """Optical flow, every pixel taken for visible, as the released MEt3R does: flow out of the frame meets its border.

    Args:
        network: the flow.
    """

    def __init__(self, network: PairFlow):
        self.network = network
        self.size_factor, self.smallest_side = network.size_factor, network.smallest_side

    def match(self, images: Tensor) -> PairMatch:
        """Match view 1 to view 2 of images (B, 2, 3, H, W) in [-1, 1]."""
        flow = self.network.predict_flow(images)  # (B, 2, H, W)
        return PairMatch(flow, torch.ones_like(flow[:, 0], dtype=torch.bool))

    def match_both_ways(self, images: Tensor) -> tuple[PairMatch, PairMatch]:
        """Match view 1 to view 2, and view 2 to view 1."""
        return self.match(images), self.match(images.flip(1))


class StereoMatching:
    """The disparity of the pair itself, by `stereozero.metrics.matching`. Only for rectified pairs.

    Which pixels are compared must not depend on whether they look alike: that would hide the very damage that is to be
    measured. So pixels without trustworthy match are not left out. They take the disparity of the nearest matched pixel
    in their row, of two the farther one (holes lie in the background); rows without any take the frame's median, and a
    frame without any is compared in place. Left out is only what, by this disparity, lies outside of the other view or
    behind something nearer.

    Args:
        target_side: which eye's view 2 is; tells near from far.
        parameters: of the matching.
    """

    size_factor = 1
    smallest_side = 16

    def __init__(self, target_side: Side = "right", parameters: MatchParameters = DEFAULTS):
        self.target_side = target_side
        self.parameters = parameters

    def match(self, images: Tensor) -> PairMatch:
        """Match view 1 to view 2 of images (B, 2, 3, H, W) in [-1, 1]."""
        return _as_pair_match(match_views(*self._views(images), self.target_side, self.parameters), images)

    def match_both_ways(self, images: Tensor) -> tuple[PairMatch, PairMatch]:
        """Match view 1 to view 2, and view 2 to view 1."""
        there, back = match_views_both_ways(*self._views(images), self.target_side, self.parameters)
        return _as_pair_match(there, images), _as_pair_match(back, images)

    def _views(self, images: Tensor) -> np.ndarray:
        """Return the views as 8-bit videos of one frame a pair: (2, B, H, W, 3)."""
        check_pairs(images, "stereo matching", self.size_factor, self.smallest_side)
        levels = ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)  # (B, 2, 3, H, W)
        return levels.permute(1, 0, 3, 4, 2).cpu().contiguous().numpy()


def _as_pair_match(matched: Match, images: Tensor) -> PairMatch:
    disparity = np.stack([fill_disparity(frame) for frame in matched.disparity])  # (B, H, W)
    visible = np.stack([visible_pixels(frame, matched.target_side) for frame in disparity])  # (B, H, W)
    right = torch.from_numpy(disparity if matched.target_side == "left" else -disparity).to(images)  # (B, H, W)
    flow = torch.stack([right, torch.zeros_like(right)], dim=1)  # (B, 2, H, W)
    return PairMatch(flow, torch.from_numpy(visible).to(images.device))


def fill_disparity(disparity: np.ndarray) -> np.ndarray:
    """Return a disparity (H, W) [px] without gaps; see :class:`StereoMatching`.

    Args:
        disparity: (H, W) float32, larger is nearer, NaN where unknown.
    """
    known = ~np.isnan(disparity)
    if not known.any():
        return np.zeros_like(disparity)
    rows = known.any(axis=1)
    filled = np.full_like(disparity, np.median(disparity[known]))
    before = _carry(disparity[rows])
    after = _carry(disparity[rows][:, ::-1])[:, ::-1]
    filled[rows] = np.fmin(before, after)
    return filled


def _carry(values: np.ndarray) -> np.ndarray:
    """Give each NaN of a row the last value before it; leading ones stay NaN."""
    columns = np.where(np.isnan(values), -1, np.arange(values.shape[1]))
    last = np.maximum.accumulate(columns, axis=1)
    return np.where(last < 0, np.float32(np.nan), np.take_along_axis(values, np.maximum(last, 0), axis=1))


def visible_pixels(disparity: np.ndarray, target_side: Side, tolerance: float = 1.0) -> np.ndarray:
    """Tell which pixels the other view shows: those that land in it, and on which nothing nearer lands.

    Args:
        disparity: (H, W) float32 [px], larger is nearer, without gaps.
        target_side: the other view's eye.
        tolerance: disparity by which something must be nearer to hide a pixel [px].

    Returns:
        (H, W) bool.
    """
    height, width = disparity.shape
    direction = -1 if target_side == "right" else 1
    landing = np.rint(np.arange(width) + direction * disparity).astype(np.intp)  # (H, W)
    inside = (landing >= 0) & (landing < width)
    column = np.clip(landing, 0, width - 1)
    nearest = np.full((height, width), -np.inf, dtype=np.float32)
    rows = np.broadcast_to(np.arange(height)[:, None], (height, width))
    np.maximum.at(nearest, (rows[inside], column[inside]), disparity[inside])
    # Surfaces that come nearer along a row are stretched and leave single columns open.
    bordered = cv2.copyMakeBorder(nearest, 0, 0, 1, 1, cv2.BORDER_REPLICATE)
    nearest = cv2.morphologyEx(bordered, cv2.MORPH_CLOSE, np.ones((1, 3), np.uint8))[:, 1:-1]
    return inside & (disparity > np.take_along_axis(nearest, column, axis=1) - tolerance)
