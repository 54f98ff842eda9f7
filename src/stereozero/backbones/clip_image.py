"""Pictures for CLIP, prepared as video diffusion models do it, which is not as CLIP's own processor does.

kornia's resize with antialiasing, which DynamiCrafter calls, and the copy of it in diffusers' pipeline for Stable Video
Diffusion do the same; clip_conditioning.json describes it.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as nnf
from torch import Tensor

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def prepare_image(images: Tensor, size: int) -> Tensor:
    """Resize to ``size`` x ``size`` (aspect ratio not kept, nothing cropped) and normalise for CLIP.

    Args:
        images: (B, 3, H, W) in [-1, 1].
        size: pixels.

    Returns:
        (B, 3, size, size), normalised with CLIP's mean and standard deviation.
    """
    resized = resize_with_gaussian(images, size, size)  # (B, 3, size, size)
    mean = resized.new_tensor(CLIP_MEAN)[:, None, None]  # (3, 1, 1)
    std = resized.new_tensor(CLIP_STD)[:, None, None]  # (3, 1, 1)
    return ((resized + 1) / 2 - mean) / std


def resize_with_gaussian(images: Tensor, height: int, width: int) -> Tensor:
    """Resize (B, C, H, W) to (B, C, height, width): bicubic with corners aligned.

    Where an axis shrinks, a Gaussian of sigma (factor - 1) / 2 goes first. Overshoot is not clamped.
    """
    factors = [images.shape[-2] / height, images.shape[-1] / width]
    if max(factors) > 1:
        images = _blur(images, factors)  # (B, C, H, W)
    return nnf.interpolate(images, (height, width), mode="bicubic", align_corners=True)


def _blur(images: Tensor, factors: Sequence[float]) -> Tensor:
    channels = images.shape[1]
    rows, columns = (_gaussian(factor).to(images) for factor in factors)
    padding = (len(columns) // 2, len(columns) // 2, len(rows) // 2, len(rows) // 2)
    padded = nnf.pad(images, padding, mode="reflect")  # (B, 3, H + 2 p, W + 2 q)
    blurred = nnf.conv2d(padded, rows.view(1, 1, -1, 1).expand(channels, -1, -1, -1), groups=channels)
    return nnf.conv2d(blurred, columns.view(1, 1, 1, -1).expand(channels, -1, -1, -1), groups=channels)


def _gaussian(factor: float) -> Tensor:
    # An axis that doesn't shrink gets sigma 0.001, a kernel of 0, 1, 0: only the other axis is blurred.
    sigma = max((factor - 1) / 2, 0.001)
    length = int(max(4 * sigma, 3))
    length += 1 - length % 2
    offset = torch.arange(length, dtype=torch.float32) - length // 2  # (length,)
    weights = torch.exp(-(offset**2) / (2 * sigma**2))  # (length,)
    return weights / weights.sum()
