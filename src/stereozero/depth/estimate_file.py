"""Estimates and latents on disk: what a depth model says of a clip, before anything is made of it."""

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from stereozero.depth.estimator import DepthEstimate, DepthKind
from stereozero.errors import InputError


def save_estimate(path: Path, estimate: DepthEstimate) -> None:
    """Write an estimate as safetensors: ``values``, ``focal_length`` where it is known, its kind as metadata."""
    tensors = {"values": estimate.values.float().contiguous()}
    if estimate.focal_length is not None:
        tensors["focal_length"] = estimate.focal_length.float().contiguous()
    save_file(tensors, path, {"kind": estimate.kind.value})


def load_estimate(path: Path) -> DepthEstimate:
    """Read what :func:`save_estimate` wrote.

    Raises:
        InputError: the file is damaged or holds no estimate.
    """
    tensors, metadata = _read(path, "values")
    return DepthEstimate(tensors["values"], DepthKind(metadata["kind"]), tensors.get("focal_length"))


def save_latents(path: Path, latents: Tensor) -> None:
    """Write the latents (F, C, h, w) of an estimation as safetensors."""
    save_file({"latents": latents.contiguous()}, path)


def load_latents(path: Path) -> Tensor:
    """Read what :func:`save_latents` wrote.

    Raises:
        InputError: the file is damaged or holds no latents.
    """
    return _read(path, "latents")[0]["latents"]


def _read(path: Path, key: str) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    try:
        with safe_open(path, "pt") as content:
            tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118 (it is no dict)
            metadata = content.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: can't be read as safetensors ({error}); make it again") from error
    if key not in tensors:
        raise InputError(f"{path}: has no tensor '{key}', only {sorted(tensors)}; make it again")
    return tensors, metadata
