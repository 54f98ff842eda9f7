"""The golden cases of MEt3R: numbers of the reference implementations, rebuilt from named tensors."""

import gzip
import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn

FOLDER = Path(__file__).parents[2] / "golden" / "met3r"


def _load_named_tensor():
    spec = importlib.util.spec_from_file_location("named_tensors", FOLDER.parent / "named_tensors.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.named_tensor


named_array = _load_named_tensor()


def named_tensor(name: str, shape) -> torch.Tensor:
    return torch.from_numpy(np.asarray(named_array(name, tuple(shape))))


def squashed(name: str, shape) -> torch.Tensor:
    return torch.tanh(named_tensor(name, shape))


def read_facts(name: str) -> dict:
    return json.loads((FOLDER / f"{name}.json").read_text())


def read_keys(name: str) -> dict:
    return json.loads(gzip.decompress((FOLDER / f"{name}.json.gz").read_bytes()))


def read_case(name: str) -> tuple[dict, dict[str, torch.Tensor]]:
    """Description and expected arrays of a golden case."""
    with np.load(FOLDER / f"{name}.npz") as arrays:
        return read_facts(name), {key: torch.from_numpy(arrays[key]) for key in arrays.files}


def named_weight(key: str, shape) -> torch.Tensor:
    """A parameter's named tensor, with the overrides that the cases of this folder share."""
    value = named_tensor(key, shape)
    if key.endswith("pos_embed"):
        return value * float(np.sqrt(np.prod(shape[1:]))) * 0.5
    if key.endswith((".gamma", "sigma_spatial")):
        return value + 1.0
    return value * 3.0 if key == "fixup_proj.1.weight" else value


def fill(module: nn.Module, params: Mapping[str, list]) -> nn.Module:
    """Load a case's named weights strictly, for inference."""
    state = {key: named_weight(key, shape) for key, (shape, _) in params.items()}
    module.load_state_dict(state, strict=True)
    return module.requires_grad_(False).eval()


def jbu_state(params: Mapping[str, list], prefix: str = "") -> dict[str, torch.Tensor]:
    return {key: named_weight(key, shape) for key, (shape, _) in params.items() if key.startswith(prefix)}
