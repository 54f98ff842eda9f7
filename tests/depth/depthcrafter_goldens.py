"""The golden DepthCrafter: networks of named weights, and the reference's numbers."""

import gzip
import importlib.util
import json
from functools import cache
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLTemporalDecoder, EulerDiscreteScheduler
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from stereozero.depth.depthcrafter import DepthCrafter, DepthCrafterNetworks, DepthCrafterSettings, EstimationNoise
from stereozero.depth.framewise_unet import FramewiseUNet

GOLDEN = Path(__file__).parents[1] / "golden"
FACTS = json.loads((GOLDEN / "stereo" / "dissolve.json").read_text())


def _load_named_tensor():
    spec = importlib.util.spec_from_file_location("named_tensors", GOLDEN / "named_tensors.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.named_tensor


_named_array = _load_named_tensor()


def named_tensor(name: str, shape) -> Tensor:
    return torch.from_numpy(np.asarray(_named_array(name, tuple(shape))))


@cache
def arrays() -> dict[str, Tensor]:
    with np.load(GOLDEN / "stereo" / "dissolve.npz") as stored:
        return {name: torch.from_numpy(stored[name]) for name in stored.files}


def build_model() -> DepthCrafter:
    configs = FACTS["configs"]
    unet = FramewiseUNet.from_config(configs["unet"])
    vae = AutoencoderKLTemporalDecoder.from_config(configs["vae"])
    image_encoder = CLIPVisionModelWithProjection(CLIPVisionConfig(**configs["image_encoder"]))
    shapes = json.loads(gzip.decompress((GOLDEN / "stereo" / "dissolve_params.json.gz").read_bytes()))
    for network, part in ((unet, "unet"), (vae, "vae"), (image_encoder, "image_encoder")):
        _fill(network, shapes[part])
    scheduler = EulerDiscreteScheduler.from_config(configs["scheduler"])
    return DepthCrafter(DepthCrafterNetworks(unet, vae, image_encoder), scheduler)


def _fill(network: nn.Module, shapes: dict) -> None:
    network.load_state_dict({name: named_tensor(name, shape) for name, shape in shapes.items()}, strict=True)
    network.requires_grad_(False).eval()


def case_settings(case: dict) -> DepthCrafterSettings:
    return DepthCrafterSettings(
        steps=case["num_inference_steps"],
        guidance=case["guidance_scale"],
        window=case["window_size"],
        overlap=case["overlap"],
    )


def case_video(case: dict) -> Tensor:
    return arrays()["video_u8"][: case["frames"]].float() / 255  # (F, 3, H, W)


def case_noise(case: dict) -> EstimationNoise:
    augmentation, initial = (named_tensor(name, shape) for name, shape in case["noise"])
    return EstimationNoise(augmentation, initial[0])
