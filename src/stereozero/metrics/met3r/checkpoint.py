"""Reading the official checkpoints of DUSt3R and MASt3R, strictly.

They are published as a pickled ``.pth``, {"model": parameters, "args": argparse.Namespace of the training}, and as
``model.safetensors``. The parameters of a DPT head's ``scratch.layer1_rn`` to ``layer4_rn`` have a second key each,
``scratch.layer_rn.0`` to ``.3``, for the same tensor; a ``.pth`` has both, a safetensors file only the first.
Source: the key lists in tests/golden/met3r, *_checkpoint.json.gz. The weights' licence (CC BY-NC-SA 4.0) forbids
commercial use.
"""

import re
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from stereozero.checkpoint_file import check_keys, read_checkpoint
from stereozero.errors import InputError
from stereozero.metrics.met3r.dust3r import Dust3r

Network = TypeVar("Network", bound=Dust3r)
UNUSED = frozenset({"mask_token"})  # of CroCo's pre-training


def load_official(path: Path | str, network_class: type[Network], *, device: torch.device | str = "cpu") -> Network:
    """Load an official checkpoint of full size, in eval mode, without gradients, in float32.

    Args:
        path: the ``.pth`` or safetensors file. Its format is told from its content.
        network_class: ``Dust3r`` or ``Mast3r``.
        device: where the parameters are wanted.

    Raises:
        InputError: no such file; truncated, corrupted or no checkpoint at all; Python objects other than tensors and
            the training's argparse.Namespace inside; another model's; or keys missing, unexpected or of another shape
            (one message lists all three).
    """
    path = Path(path)
    tensors = read_tensors(path)
    _check_model(tensors, network_class, path)
    network = network_class.on_meta()
    fill(network, tensors, path, device=device)
    return network


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint file by official key, memory-mapped: nothing is read yet.

    Raises:
        InputError: see :func:`load_official`.
    """
    content = read_checkpoint(path, allowed=[Namespace])
    parameters = content.get("model", content)
    return {key: value for key, value in parameters.items() if isinstance(value, Tensor)}


def fill(network: Dust3r, tensors: Mapping[str, Tensor], path: Path, *, device: torch.device | str) -> None:
    """Give every parameter of ``network`` its tensor, in place of those on the meta device.

    Raises:
        InputError: keys missing, unexpected or of another shape, or two keys of one parameter with different values;
            nothing is changed then.
    """
    named = by_parameter(tensors, path)
    check_keys(path, named, network.state_dict())
    state = {name: tensor.to(device=device, dtype=torch.float32) for name, tensor in named.items()}
    network.load_state_dict(state, strict=True, assign=True)
    network.requires_grad_(False).eval()


def by_parameter(tensors: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Return a checkpoint's tensors by parameter name: each once, and without those that nothing uses.

    Raises:
        InputError: two keys of one parameter have different values.
    """
    named: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        name = parameter_name(key)
        if not _same(named.setdefault(name, tensor), tensor):
            raise InputError(f"{path}: {key} must hold the same values as {name}; the file is not the official one")
    return {name: tensor for name, tensor in named.items() if name not in UNUSED}


def parameter_name(key: str) -> str:
    """Return the name of the parameter that an official key belongs to."""
    return re.sub(r"\.scratch\.layer_rn\.([0-3])\.", lambda match: f".scratch.layer{int(match[1]) + 1}_rn.", key)


def identify(tensors: Mapping[str, Tensor]) -> str | None:
    """Return which model a checkpoint is of, as far as its keys tell; None if it is none of this family."""
    if "downstream_head1.head_local_features.fc1.weight" in tensors:
        return "MASt3R"
    if any(key.startswith("downstream_head1.dpt.") for key in tensors):
        return "DUSt3R"
    if "downstream_head1.proj.weight" in tensors:
        return "DUSt3R (with a linear head)"
    if any(key.startswith("dec_blocks.") for key in tensors):
        return "CroCo"
    return None


def _check_model(tensors: Mapping[str, Tensor], network_class: type[Dust3r], path: Path) -> None:
    found, title = identify(tensors), network_class.title
    if found is None:
        first = ", ".join(list(tensors)[:3])
        raise InputError(f"{path} is no {title} checkpoint: it has {len(tensors)} tensors, the first: {first}")
    if found != title:
        raise InputError(
            f"{path} is a {found} checkpoint, expected {title} (from {network_class.repository} on huggingface.co)"
        )


def _same(first: Tensor, second: Tensor) -> bool:
    # Two keys of one tensor share its storage in a .pth; meta tensors have none.
    return first.data_ptr() == second.data_ptr() or torch.equal(first, second)
