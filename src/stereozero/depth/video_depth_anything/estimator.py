"""Video Depth Anything as a depth estimator, for clips of any size and length."""

import math
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as nnf
from torch import Tensor

from stereozero.depth.estimator import DepthEstimate, DepthKind, check_video, log_resizing
from stereozero.depth.imagenet import standardise
from stereozero.depth.video_depth_anything.checkpoint import load_official
from stereozero.depth.video_depth_anything.encoder import PATCH
from stereozero.depth.video_depth_anything.network import VideoDepthAnything
from stereozero.depth.video_depth_anything.stitching import stitch, window_frames
from stereozero.errors import InputError

SHORT_SIDE = 518  # px, the training size
_WIDEST = 1.78  # long over short side up to which the short side is 518
_WIDE = 1.777  # what wider videos are compared with, to keep the number of patches


class VideoDepthAnythingEstimator:
    """Implements :class:`stereozero.depth.estimator.DepthEstimator`.

    The network always sees windows of 32 frames, as the official code has it: a shorter clip ends in copies of its last
    frame.

    Args:
        network: loaded and in evaluation mode.
        dtype: what the network computes in; its weights and the last layers stay in float32.
        short_side: of the frames the network sees [px], a multiple of 14; smaller is faster and coarser.

    Raises:
        InputError: a short side that is no multiple of 14.
    """

    def __init__(self, network: VideoDepthAnything, dtype: torch.dtype = torch.float32, short_side: int = SHORT_SIDE):
        if short_side < PATCH or short_side % PATCH:
            raise InputError(f"Video Depth Anything: short side is {short_side}; a multiple of {PATCH} px is right")
        self.network = network
        self.dtype = dtype
        self.short_side = short_side

    @classmethod
    def from_official(
        cls,
        path: Path | str,
        size: str,
        short_side: int = SHORT_SIDE,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> "VideoDepthAnythingEstimator":
        """Read an official checkpoint; see :func:`~stereozero.depth.video_depth_anything.checkpoint.load_official`."""
        return cls(load_official(path, size, device=device), dtype, short_side)

    def estimate(self, video: Tensor) -> DepthEstimate:
        """Estimate relative inverse depth; see the protocol."""
        check_video(video)
        height, width = network_size(*video.shape[-2:], self.short_side)
        log_resizing(video, height, width, "Video Depth Anything")
        windows = (prepare(video[frames], height, width) for frames in window_frames(len(video)))
        depths = [self._estimate(window, video.shape[-2:]) for window in windows]  # (32, H, W) each
        return DepthEstimate(stitch(depths, len(video)), DepthKind.INVERSE)

    @torch.no_grad()
    def _estimate(self, window: Tensor, size: tuple[int, int]) -> Tensor:
        """Map a window (32, 3, h, w) to depth (32, H, W) at the video's size, float32 on the CPU."""
        device = self.network.pretrained.cls_token.device
        with torch.autocast(device.type, self.dtype, enabled=self.dtype != torch.float32):
            depth = self.network(window.to(device))  # (32, h, w)
        return nnf.interpolate(depth.unsqueeze(1), size, mode="bilinear", align_corners=True).squeeze(1).cpu()


def network_size(height: int, width: int, short_side: int = SHORT_SIDE) -> tuple[int, int]:
    """Return the height and width at which the network sees a video of this size, multiples of 14.

    The short side becomes ``short_side``, or less for a video wider than 16:9; the aspect ratio is kept up to rounding.
    """
    ratio = max(height, width) / min(height, width)
    if ratio > _WIDEST:
        short_side = max(1, round(int(short_side * _WIDE / ratio) / PATCH)) * PATCH
    scale = short_side / min(height, width)
    return tuple(_multiple(side * scale, short_side) for side in (height, width))


def prepare(video: Tensor, height: int, width: int) -> Tensor:
    """Resize (F, 3, H, W) in [0, 1] to (F, 3, height, width), as OpenCV's bicubic does, and normalise for DINOv2."""
    frames = video.float().movedim(1, -1).cpu().numpy()  # (F, H, W, 3)
    resized = np.stack([cv2.resize(frame, (width, height), interpolation=cv2.INTER_CUBIC) for frame in frames])
    return standardise(torch.from_numpy(resized).movedim(-1, 1)).contiguous()


def _multiple(side: float, least: int) -> int:
    """Round to a multiple of 14, up if it would fall below ``least``."""
    nearest = round(side / PATCH) * PATCH
    return nearest if nearest >= least else math.ceil(side / PATCH) * PATCH
