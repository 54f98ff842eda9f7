"""Depth Pro (arXiv 2410.02073) through transformers, frame by frame: metric depth and focal length.

The network estimates canonical inverse depth C, as seen by a camera whose focal length is the width W of the picture
[px], and the horizontal field of view, hence the focal length f [px]. Depth is Z = f / (W C) [m].

So in the disparity of Eq. 6, f B / Z = W B C, the focal length cancels: an error in the field of view, which differs
from frame to frame, changes metric depth, but not the disparity.
"""

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional
from transformers import DepthProForDepthEstimation

from stereozero.depth.estimator import DepthEstimate, DepthKind, check_video, log_resizing, resize_maps
from stereozero.errors import InputError
from stereozero.saved_networks import read_network

_NEAREST, _FARTHEST = 1e-4, 1e4  # m; Depth Pro's own limits


class DepthProEstimator:
    """Implements :class:`stereozero.depth.estimator.DepthEstimator`.

    Args:
        network: with its field-of-view part.
        frames_at_once: in one call of the network, which sees 35 tiles of each.

    Raises:
        InputError: the network has no field-of-view part.
    """

    def __init__(self, network: DepthProForDepthEstimation, frames_at_once: int = 1):
        if not network.use_fov_model:
            raise InputError(
                "Depth Pro: this network estimates no field of view (use_fov_model in its config.json is false), and "
                "there is no metric depth without; take the published one (apple/DepthPro-hf)"
            )
        self.network = network
        self.frames_at_once = frames_at_once

    @classmethod
    def from_pretrained(
        cls,
        folder: Path | str,
        frames_at_once: int = 1,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> "DepthProEstimator":
        """Read a saved or published model from its folder: config.json and model.safetensors.

        Raises:
            InputError: the folder is missing or damaged, or its weights don't fit its config.json.
        """
        return cls(read_network(DepthProForDepthEstimation, Path(folder)).to(device, dtype), frames_at_once)

    @torch.no_grad()
    def estimate(self, video: Tensor) -> DepthEstimate:
        """Estimate depth [m] and focal length [px]; see the protocol.

        Raises:
            InputError: also if the network sees no possible field of view.
        """
        check_video(video)
        log_resizing(video, self.side, self.side, "Depth Pro")
        parts = [self._estimate(frames) for frames in video.split(self.frames_at_once)]
        canonical, degrees = (torch.cat(values) for values in zip(*parts, strict=True))  # (F, H, W), (F,)
        focal_length = focal_length_px(degrees, video.shape[-1])  # (F,)
        depth = focal_length.reshape(-1, 1, 1) / (video.shape[-1] * canonical)  # (F, H, W)
        return DepthEstimate(depth.clamp(_NEAREST, _FARTHEST), DepthKind.METRIC, focal_length)

    @property
    def side(self) -> int:
        """Height and width at which the network sees every frame [px]; 1536 for the published one."""
        config = self.network.config
        return round(config.patch_size / min(config.scaled_images_ratios))

    def _estimate(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Map frames (N, 3, H, W) in [0, 1] to canonical inverse depth (N, H, W) and field of view (N,) [degrees]."""
        normalised = 2 * frames.float() - 1  # (N, 3, H, W)
        pixels = functional.interpolate(normalised, (self.side, self.side), mode="bilinear")  # (N, 3, side, side)
        output = self.network(pixel_values=pixels.to(self.network.device, self.network.dtype))
        canonical = resize_maps(output.predicted_depth.float(), *frames.shape[-2:])  # (N, H, W)
        return canonical.cpu(), output.field_of_view.float().cpu()


def focal_length_px(field_of_view: Tensor, width: int) -> Tensor:
    """Return the focal length [px] of pictures with a horizontal field of view [degrees] and a width [px].

    Raises:
        InputError: a field of view that no camera has.
    """
    possible = (field_of_view > 0) & (field_of_view < 180)
    if not possible.all():
        frame = possible.tolist().index(False)
        raise InputError(
            f"Depth Pro: sees a field of view of {float(field_of_view[frame]):.1f} degrees in frame {frame}, which no "
            "camera has; is there anything to see in it? Another estimator may do better on this clip"
        )
    return 0.5 * width / torch.tan(0.5 * torch.deg2rad(field_of_view))
