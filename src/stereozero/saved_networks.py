"""Folders in which diffusers and transformers keep a network, read strictly."""

from pathlib import Path
from typing import Any, TypeVar

import torch
from diffusers import ModelMixin, SchedulerMixin
from transformers import PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from stereozero.errors import InputError

_POSITIONS = "position_ids"  # a buffer that older versions of transformers saved; it holds 0, 1, 2, ...

Network = TypeVar("Network", ModelMixin, PreTrainedModel)
Scheduler = TypeVar("Scheduler", bound=SchedulerMixin)


def read_network(kind: type[Network], folder: Path, dtype: torch.dtype = torch.float32) -> Network:
    """Read a network of a class of diffusers or transformers from a folder on this machine, for inference.

    Where a folder has the half-precision weights only (``*.fp16.safetensors``), these are read.

    Args:
        kind: the class.
        folder: config.json and safetensors.
        dtype: what the weights are cast to.

    Raises:
        InputError: the folder is missing or damaged, or its weights don't fit its config.json.
    """
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder}: has no config.json; the folder of a saved {kind.__name__} is right")
    disable_progress_bar()  # the log is a file
    try:
        network, keys = kind.from_pretrained(
            folder, torch_dtype=dtype, output_loading_info=True, use_safetensors=True, **_options(kind, folder)
        )
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise InputError(
            f"{folder}: the saved network is damaged, or not the one its config.json describes; save or download it "
            f"again ({' '.join(str(error).splitlines()[:2])})"
        ) from error
    _check_keys(keys, folder)
    return network.requires_grad_(False).eval()


def read_scheduler(kind: type[Scheduler], folder: Path) -> Scheduler:
    """Read a scheduler's configuration.

    Raises:
        InputError: there is none.
    """
    try:
        return kind.from_pretrained(folder)
    except OSError as error:
        raise InputError(f"{folder}: has no scheduler_config.json, or one that can't be read") from error


def _options(kind: type, folder: Path) -> dict[str, Any]:
    whole = [file for file in folder.glob("*.safetensors") if ".fp16." not in file.name]
    variant = {} if whole else {"variant": "fp16"}
    # Without this flag diffusers asks for accelerate in a warning.
    return variant | ({"low_cpu_mem_usage": False} if issubclass(kind, ModelMixin) else {})


def _check_keys(keys: dict[str, Any], folder: Path) -> None:
    missing = sorted(keys["missing_keys"])
    unexpected = sorted(key for key in keys["unexpected_keys"] if not key.endswith(_POSITIONS))
    if missing or unexpected:
        raise InputError(
            f"{folder}: the weights are not those of config.json: {len(missing)} missing, {len(unexpected)} unexpected "
            f"({', '.join([*missing, *unexpected][:3])}); save or download the network again"
        )
