"""Reading files of published weights: without running code, memory-mapped, and strictly compared with a network.

A file's format is told from its content. Nothing is read before it is used: the tensors are views of the mapped file,
so flipped bytes inside an otherwise whole file go unseen here. A file's checksum is verified when it is fetched.
"""

import pickle
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from stereozero.errors import InputError

_LISTED = 10  # names of each kind in an error message


def read_checkpoint(path: Path, allowed: Sequence[type] = ()) -> Mapping[str, Any]:
    """Return the content of a PyTorch checkpoint (zip format) or a safetensors file.

    Args:
        path: the file.
        allowed: classes, beside tensors and plain containers, that a pickled file may hold. They must be harmless: a
            file decides which attributes their objects have.

    Raises:
        InputError: no such file; truncated, corrupted or neither format; other Python objects inside; or no mapping.
    """
    if not path.is_file():
        raise InputError(f"no checkpoint at {path}")
    with path.open("rb") as file:
        head = file.read(9)
    if head.startswith(b"PK"):
        return _read_pickled(path, allowed)
    if head[8:9] == b"{":  # safetensors: eight bytes of length, then a JSON object
        return _read_safetensors(path)
    raise InputError(
        f"{path} ({path.stat().st_size} bytes) is neither a PyTorch checkpoint (zip format) nor a safetensors file. "
        "Was a web page or a Git LFS pointer saved in its place? Download it again"
    )


def check_keys(path: Path, found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Compare what a file holds with what a network needs.

    Args:
        path: the file, for the message.
        found: its tensors by the network's names.
        wanted: the network's ``state_dict()``.

    Raises:
        InputError: one message with all keys that are missing, unexpected or of another shape.
    """
    refuse_mismatch(
        path,
        missing=[name for name in wanted if name not in found],
        unexpected=[name for name in found if name not in wanted],
        misshapen=[
            f"{name} {list(tensor.shape)} instead of {list(wanted[name].shape)}"
            for name, tensor in found.items()
            if name in wanted and tensor.shape != wanted[name].shape
        ],
    )


def refuse_mismatch(path: Path, missing: Sequence[str], unexpected: Sequence[str], misshapen: Sequence[str]) -> None:
    """Say all that does not fit, if anything does not.

    Raises:
        InputError: any of the three has entries.
    """
    kinds = {"missing": missing, "unexpected": unexpected, "of another shape": misshapen}
    lines = [f"  {len(names)} {title}: {_enumerate(names)}" for title, names in kinds.items() if names]
    if lines:
        raise InputError("\n".join([f"{path} does not fit the model:", *lines]))


def _read_pickled(path: Path, allowed: Sequence[type]) -> Mapping[str, Any]:
    try:
        with torch.serialization.safe_globals(list(allowed)):
            content = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except pickle.UnpicklingError as error:
        refused = re.search(r"GLOBAL (\S+)", str(error))
        what = f"Python objects ({refused[1]})" if refused else "Python objects other than tensors"
        raise InputError(
            f"{path} holds {what}, or is corrupted, and is not loaded: such a file can run code. Use the official file "
            "or its safetensors version"
        ) from error
    except (RuntimeError, OSError, EOFError, ValueError) as error:
        raise InputError(_damaged_message(path)) from error
    if not isinstance(content, Mapping):
        raise InputError(f"{path} holds a {type(content).__name__}, not the named tensors of a network")
    return content


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dictionary
    except (SafetensorError, OSError) as error:
        raise InputError(_damaged_message(path)) from error


def _damaged_message(path: Path) -> str:
    return f"{path} ({path.stat().st_size} bytes) is truncated or corrupted. Delete it and download it again"


def _enumerate(names: Sequence[str]) -> str:
    rest = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + rest
