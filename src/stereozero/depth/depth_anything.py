"""Depth Anything V1 (arXiv 2401.10891) and V2 (arXiv 2406.09414) through transformers, frame by frame.

Frames and depth stay floating point: the released code sends both through 8-bit pictures, where depth even wraps round.
"""

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional
from transformers import DepthAnythingForDepthEstimation

from stereozero.depth.estimator import DepthEstimate, DepthKind, check_video, log_resizing, resize_maps
from stereozero.depth.imagenet import standardise
from stereozero.saved_networks import read_network

_SIDE = 518  # px, the models' training size


class DepthAnythingEstimator:
    """Implements :class:`stereozero.depth.estimator.DepthEstimator`; each frame has a scale and shift of its own.

    Args:
        network: V1 or V2, of any size; also the metric variants.
        frames_at_once: in one call of the network; fewer take less memory.
    """

    def __init__(self, network: DepthAnythingForDepthEstimation, frames_at_once: int = 4):
        self.network = network
        self.frames_at_once = frames_at_once

    @classmethod
    def from_pretrained(
        cls,
        folder: Path | str,
        frames_at_once: int = 4,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> "DepthAnythingEstimator":
        """Read a saved or published model from its folder: config.json and model.safetensors.

        Raises:
            InputError: the folder is missing or damaged, or its weights don't fit its config.json.
        """
        return cls(read_network(DepthAnythingForDepthEstimation, Path(folder)).to(device, dtype), frames_at_once)

    @torch.no_grad()
    def estimate(self, video: Tensor) -> DepthEstimate:
        """Estimate relative inverse depth, or depth [m] with a metric variant; see the protocol."""
        check_video(video)
        log_resizing(video, *network_size(*video.shape[-2:], self.network.config.patch_size), "Depth Anything")
        maps = [self._estimate(frames) for frames in video.split(self.frames_at_once)]
        metric = self.network.config.depth_estimation_type == "metric"
        return DepthEstimate(torch.cat(maps), DepthKind.METRIC if metric else DepthKind.INVERSE)

    def _estimate(self, frames: Tensor) -> Tensor:
        """Map frames (N, 3, H, W) in [0, 1] to the network's output (N, H, W) float32."""
        pixels = prepare(frames, self.network.config.patch_size).to(self.network.device, self.network.dtype)
        maps = self.network(pixel_values=pixels).predicted_depth  # (N, h, w)
        return resize_maps(maps.float(), *frames.shape[-2:]).cpu()


def prepare(frames: Tensor, multiple: int) -> Tensor:
    """Return frames (N, 3, H, W) in [0, 1] as the network takes them, (N, 3, h, w), as transformers prepares them."""
    size = network_size(*frames.shape[-2:], multiple)
    return standardise(functional.interpolate(frames.float(), size, mode="bicubic", antialias=True))


def network_size(height: int, width: int, multiple: int) -> tuple[int, int]:
    """Return the height and width at which the network sees frames of this size.

    Of the two scales that bring one side to 518 pixels, the one closer to 1; then each side to the nearest multiple of
    the patch size, which may change the aspect ratio a little.
    """
    scale = min(_SIDE / height, _SIDE / width, key=lambda candidate: abs(1 - candidate))
    return tuple(max(1, round(side * scale / multiple)) * multiple for side in (height, width))
