"""The golden cases of DynamiCrafter: numbers of the reference implementation, rebuilt from named tensors."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import torch
from torch import nn

from stereozero.backbones.dynamicrafter import VideoUNet
from stereozero.backbones.dynamicrafter.official_keys import unet_name

FOLDER = Path(__file__).parents[2] / "golden" / "dynamicrafter"


def _load_named_tensor():
    spec = importlib.util.spec_from_file_location("named_tensors", FOLDER.parent / "named_tensors.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.named_tensor


named_array = _load_named_tensor()


def named_tensor(name: str, shape) -> torch.Tensor:
    return torch.from_numpy(np.asarray(named_array(name, tuple(shape))))


def read_case(name: str) -> tuple[dict, dict[str, torch.Tensor]]:
    """Description and expected arrays of a golden case."""
    facts = json.loads((FOLDER / f"{name}.json").read_text())
    with np.load(FOLDER / f"{name}.npz") as arrays:
        return facts, {key: torch.from_numpy(arrays[key]) for key in arrays.files}


def named_state(shapes: dict, rename=lambda key: key) -> dict[str, torch.Tensor]:
    """State dict of named tensors; tensors are named by the official key and stored under ours."""
    return {rename(key): named_tensor(key, shape) for key, shape in shapes.items()}


def fill(module: nn.Module, state: dict[str, torch.Tensor]) -> nn.Module:
    """Load strictly; matrices stored as 1x1 convolutions are brought to the module's shape."""
    wanted = module.state_dict()
    module.load_state_dict({key: value.reshape(wanted[key].shape) for key, value in state.items()}, strict=True)
    return module.requires_grad_(False).eval()


def build_unet(facts: dict) -> VideoUNet:
    """The UNet of a case's constructor arguments, with its named weights."""
    arguments = facts["constructor_args"]
    names = (
        "in_channels",
        "out_channels",
        "model_channels",
        "attention_resolutions",
        "num_res_blocks",
        "channel_mult",
        "dropout",
        "num_head_channels",
        "transformer_depth",
        "context_dim",
        "default_fs",
    )
    unet = VideoUNet(
        **{name: arguments[name] for name in names},
        learned_image_scale=arguments.get("image_cross_attention_scale_learnable", False),
    )
    return fill(unet, named_state(facts["weights"], unet_name))


def split_context(context: torch.Tensor, frames: int) -> dict[str, torch.Tensor]:
    """The reference's joint context as our text and image tokens."""
    text, image = context[:, :77], context[:, 77:]
    return {"text": text, "image": image.unflatten(1, (frames, 16)) if image.shape[1] == 16 * frames else image}
