"""Colours as networks on a DINOv2 encoder take them."""

import torch
from torch import Tensor

_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


def standardise(frames: Tensor) -> Tensor:
    """Return frames (N, 3, H, W) RGB in [0, 1] with ImageNet's mean taken away, in units of its standard deviation."""
    mean, std = (torch.tensor(values).to(frames).reshape(3, 1, 1) for values in (_MEAN, _STD))
    return (frames - mean) / std
