"""DINOv2 for torch.hub without its repository: the entry names of facebookresearch/dinov2, built from our own module.

torch.hub.load(folder, "dinov2_vits14", source="local", pretrained=False)
"""

import functools
from typing import Any

import torch

from stereozero.vision_transformer import DINOV2, VisionTransformer

dependencies = ["stereozero", "torch"]
_ADDRESS = "https://dl.fbaipublicfiles.com/dinov2"


def _entry(name: str, pretrained: bool = True, **unused: Any) -> VisionTransformer:
    """Return a DINOv2 model; pretrained weights come from torch.hub's cache or are fetched into it."""
    network = VisionTransformer(DINOV2[name])
    if pretrained:
        base = name.removesuffix("_reg")
        file = f"{base}_pretrain.pth" if base == name else f"{base}_reg4_pretrain.pth"
        state = torch.hub.load_state_dict_from_url(f"{_ADDRESS}/{base}/{file}", map_location="cpu", weights_only=True)
        network.load_state_dict(state, strict=True)
    return network


dinov2_vits14 = functools.partial(_entry, "dinov2_vits14")
dinov2_vits14_reg = functools.partial(_entry, "dinov2_vits14_reg")
dinov2_vitb14 = functools.partial(_entry, "dinov2_vitb14")
dinov2_vitb14_reg = functools.partial(_entry, "dinov2_vitb14_reg")
dinov2_vitl14 = functools.partial(_entry, "dinov2_vitl14")
dinov2_vitl14_reg = functools.partial(_entry, "dinov2_vitl14_reg")
