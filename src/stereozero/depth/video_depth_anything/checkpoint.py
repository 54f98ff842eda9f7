"""Reading the official checkpoints of Video Depth Anything, strictly."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from stereozero.checkpoint_file import check_keys, read_checkpoint
from stereozero.depth.video_depth_anything.network import SIZES, VideoDepthAnything, size_named
from stereozero.errors import InputError

UNUSED = (
    "pretrained.mask_token",  # only for DINOv2's own training
    "head.scratch.refinenet4.resConfUnit1.",  # would add a level to the coarsest one, but there is none
)
"""Beginnings of the official keys that no computation needs."""


def load_official(path: Path | str, size: str, *, device: torch.device | str = "cpu") -> VideoDepthAnything:
    """Load ``video_depth_anything_vits.pth`` or ``..._vitl.pth`` for inference, in float32.

    Args:
        path: the file; it is read without running code from it.
        size: "vits" or "vitl".
        device: where the network is to compute.

    Raises:
        InputError: an unknown size; no such file, truncated, corrupted or no checkpoint at all; the other size; or
            keys missing, unexpected or of another shape (one message lists all three).
    """
    network = build_on_meta(size)
    path = Path(path)
    tensors = read_checkpoint(path)
    _check_size(tensors, size, path)
    fill(network, tensors, path)
    return network.to(device).requires_grad_(False).eval()


def build_on_meta(size: str) -> VideoDepthAnything:
    """Build a published network on the meta device: shapes without memory."""
    with torch.device("meta"):
        return VideoDepthAnything(size_named(size))


def fill(network: VideoDepthAnything, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Give every parameter and buffer of ``network`` its tensor, in place of those on the meta device.

    Raises:
        InputError: keys missing, unexpected or of another shape; nothing is changed then.
    """
    used = {key: tensor for key, tensor in tensors.items() if not key.startswith(UNUSED)}
    check_keys(path, used, network.state_dict())
    network.load_state_dict({key: tensor.float() for key, tensor in used.items()}, strict=True, assign=True)


def _check_size(tensors: Mapping[str, Tensor], size: str, path: Path) -> None:
    token = tensors.get("pretrained.cls_token")
    if token is None:
        first = ", ".join(list(tensors)[:3])
        raise InputError(
            f"{path} is no Video Depth Anything checkpoint: it has {len(tensors)} tensors, the first: {first}"
        )
    found = [name for name, candidate in SIZES.items() if candidate.width == token.shape[-1]]
    if size not in found:
        what = f"a {found[0]} checkpoint" if found else f"a checkpoint of another width ({token.shape[-1]})"
        raise InputError(f"{path} is {what} of Video Depth Anything, expected {size}")
