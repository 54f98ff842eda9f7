"""From a network's coarse features to one feature a pixel."""

from typing import Protocol

import torch.nn.functional as nnf
from torch import Tensor

from stereozero.metrics.met3r.featup import JbuStack


class Upsampler(Protocol):
    """Brings features to an image's resolution."""

    def __call__(self, features: Tensor, images: Tensor) -> Tensor:
        """Upsample features (B, C, h, w) to the size of their images (B, 3, H, W) in [0, 1]: (B, C, H, W)."""


class Interpolation:
    """Upsampling that looks at the features alone.

    Args:
        mode: "nearest", "bilinear" or "bicubic"; corners are not aligned.
    """

    def __init__(self, mode: str):
        self.mode = mode

    def __call__(self, features: Tensor, images: Tensor) -> Tensor:
        """Upsample features (B, C, h, w) to the size of their images (B, 3, H, W): (B, C, H, W)."""
        return nnf.interpolate(features, images.shape[-2:], mode=self.mode)


class FeatUp:
    """FeatUp's joint bilateral upsampling, guided by the image; then bilinear to the image's size where they differ.

    As in MEt3R the guidance is the image in [0, 1], although FeatUp was trained with normalised ones.
    """

    def __init__(self, stack: JbuStack):
        self.stack = stack

    def __call__(self, features: Tensor, images: Tensor) -> Tensor:
        """Upsample features (B, C, h, w) to the size of their images (B, 3, H, W) in [0, 1]: (B, C, H, W)."""
        upsampled = self.stack(features, images)  # (B, C, 16 h, 16 w)
        if upsampled.shape[-2:] == images.shape[-2:]:
            return upsampled
        return nnf.interpolate(upsampled, images.shape[-2:], mode="bilinear")
