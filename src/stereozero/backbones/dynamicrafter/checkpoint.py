"""Reading the official checkpoints: strictly, memory-mapped, and with one copy in memory.

The modules are built on the meta device, where parameters take no memory, and every parameter is then taken from the
mapped file straight in the wanted dtype on the wanted device. On the CPU in the file's own dtype nothing is copied at
all: the parameters are the mapped file, whose pages the system may drop and read again.

Pickled files are loaded with ``weights_only=True``: they can't run code.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from stereozero.backbones.dynamicrafter.conditioner import ClipConditioner, vit_h_14_config
from stereozero.backbones.dynamicrafter.official_keys import Target, is_ignored, official_name, target_of
from stereozero.backbones.dynamicrafter.resampler import Resampler
from stereozero.backbones.dynamicrafter.unet import VideoUNet
from stereozero.backbones.variants import VARIANTS, Variant
from stereozero.checkpoint_file import read_checkpoint, refuse_mismatch
from stereozero.errors import InputError

VAE_CONFIG = {
    "in_channels": 3,
    "out_channels": 3,
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 256,
    "scaling_factor": 0.18215,
}
_DEEPSPEED_PREFIX = "_forward_module."
_SCALE_TOLERANCE = 0.01  # bfloat16 keeps 0.7 to 0.002


@dataclass(frozen=True, eq=False)
class Modules:
    """The networks of one DynamiCrafter model, in eval mode, without gradients."""

    unet: VideoUNet
    resampler: Resampler
    vae: AutoencoderKL
    conditioner: ClipConditioner

    def named(self) -> dict[str, nn.Module]:
        """Return the modules by field name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def load_official(
    path: Path | str, variant: Variant, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> Modules:
    """Load an official ``model.ckpt`` or a pruned safetensors file.

    Flipped bytes inside an otherwise whole file go unseen here, since nothing is read that isn't needed; the file's
    checksum is verified when it is fetched.

    Args:
        path: the file. Its format is told from its content.
        variant: which model it has to be.
        device, dtype: where and as what the parameters are wanted.

    Raises:
        InputError: no such file; truncated, corrupted or no checkpoint at all; another model than ``variant``; or keys
            missing, unexpected or of another shape (one message lists all three).
    """
    path = Path(path)
    tensors = read_tensors(path)
    _check_variant(tensors, variant, path)
    modules = build_on_meta(variant)
    fill(modules, tensors, path, device=device, dtype=dtype)
    return modules


def build_on_meta(variant: Variant) -> Modules:
    """Build the full-size networks of ``variant`` on the meta device: shapes without memory."""
    with torch.device("meta"):
        return Modules(
            unet=VideoUNet(learned_image_scale=variant.learned_image_scale, default_fs=variant.default_fs),
            resampler=Resampler(video_length=variant.frames),
            vae=AutoencoderKL(**VAE_CONFIG),
            conditioner=ClipConditioner(**vit_h_14_config()),
        )


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint file by official key, memory-mapped: nothing is read yet.

    Raises:
        InputError: see :func:`load_official`.
    """
    return _networks_tensors(read_checkpoint(path))


def fill(
    modules: Modules, tensors: Mapping[str, Tensor], path: Path, *, device: torch.device | str, dtype: torch.dtype
) -> None:
    """Give every parameter of ``modules`` its tensor, in place of those on the meta device.

    Raises:
        InputError: keys missing, unexpected or of another shape; nothing is changed then.
    """
    sources = assign_keys(modules, tensors, path)
    for component, module in modules.named().items():
        wanted = module.state_dict()
        state = {
            name: tensors[key].reshape(wanted[name].shape).to(device=device, dtype=dtype)
            for name, key in sources[component].items()
        }
        module.load_state_dict(state, strict=True, assign=True)
        module.requires_grad_(False).eval()
    modules.conditioner.restore_buffers()


def assign_keys(modules: Modules, tensors: Mapping[str, Tensor], path: Path) -> dict[str, dict[str, str]]:
    """Match official keys with parameters, strictly.

    Returns:
        For each module its parameters' names, each with the official key that fills it.

    Raises:
        InputError: one message with all keys that are missing, unexpected or of another shape.
    """
    wanted = {
        (component, name): parameter.shape
        for component, module in modules.named().items()
        for name, parameter in module.state_dict().items()
    }
    levels = len(modules.vae.config.block_out_channels)
    sources: dict[str, dict[str, str]] = {component: {} for component in modules.named()}
    unexpected, misshapen = [], []
    for key, tensor in tensors.items():
        if is_ignored(key):
            continue
        target = target_of(key, levels)
        if target not in wanted:
            unexpected.append(key)
        elif not _fits(tensor.shape, wanted[target]):
            misshapen.append(f"{key} {list(tensor.shape)} instead of {list(wanted[target])}")
        if target in wanted:
            sources[target.component][target.name] = key
    missing = [official_name(Target(part, name)) for part, name in wanted if name not in sources[part]]
    refuse_mismatch(path, missing, unexpected, misshapen)
    return sources


def identify(tensors: Mapping[str, Tensor]) -> set[str]:
    """Return the names of the official variants that a checkpoint may be, as far as its keys tell.

    The 256 model alone has a learned image weight; the dynamic rescale ends at 0.7 for both 512 models and at 0.3 for
    the 1024 model. A pruned file without the rescale array may be any of these three.
    """
    if any(key.endswith(".attn2.alpha") for key in tensors):
        return {name for name, variant in VARIANTS.items() if variant.learned_image_scale}
    candidates = {name: variant for name, variant in VARIANTS.items() if not variant.learned_image_scale}
    if "scale_arr" not in tensors:
        return set(candidates)
    base = float(tensors["scale_arr"][-1])
    return {name for name, variant in candidates.items() if abs(variant.base_scale - base) < _SCALE_TOLERANCE}


def _check_variant(tensors: Mapping[str, Tensor], variant: Variant, path: Path) -> None:
    if not any(key.startswith("model.diffusion_model.") for key in tensors):
        first = ", ".join(list(tensors)[:3])
        raise InputError(f"{path} is no DynamiCrafter checkpoint: it has {len(tensors)} tensors, the first: {first}")
    found = identify(tensors)
    if variant.name not in found:
        what = f"a {' or '.join(sorted(found))} checkpoint" if found else "no known DynamiCrafter checkpoint"
        raise InputError(f"{path} is {what}, expected {variant.name} (from {variant.repository} on huggingface.co)")


def _networks_tensors(content: Mapping[str, Any]) -> dict[str, Tensor]:
    if "state_dict" in content:
        content = content["state_dict"]
    elif "module" in content:  # as DeepSpeed writes it
        content = {key.removeprefix(_DEEPSPEED_PREFIX): value for key, value in content["module"].items()}
    return {key: value for key, value in content.items() if isinstance(value, Tensor)}


def _fits(shape: torch.Size, wanted: torch.Size) -> bool:
    # The VAE's attention is stored as 1x1 convolutions: [512, 512, 1, 1] for diffusers' [512, 512].
    return shape == wanted or (len(shape) == len(wanted) + 2 and shape == (*wanted, 1, 1))
