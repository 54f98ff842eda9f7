"""Checkpoints of a training: written atomically, and enough to go on exactly where it stopped.

There is no state of random generators in them: whatever is random in a step follows from (seed, step).
"""

import json
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers.utils import SAFETENSORS_WEIGHTS_NAME
from torch import Tensor

from stereozero.artifacts import atomic_path, sha256_of
from stereozero.errors import InputError

ORIGIN = "grown_from.json"
_PARTS = ("step", "seconds", "model", "average", "optimisers", "settings")


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Where a training stands.

    Attributes:
        step: optimiser steps taken.
        seconds: wall time that they took, interruptions not counted.
        model: the trained module's weights.
        average: the running average of its parameters.
        optimisers: the state of each optimiser.
        settings: what the training was started with, as JSON values; a checkpoint is read by the same only.
    """

    step: int
    seconds: float
    model: dict[str, Tensor]
    average: dict[str, Tensor]
    optimisers: list[dict[str, Any]]
    settings: Mapping[str, Any]


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; a killed process leaves the one before."""
    with atomic_path(path) as temporary:
        torch.save({part: getattr(checkpoint, part) for part in _PARTS}, temporary)


def read_checkpoint(path: Path, settings: Mapping[str, Any] | None = None) -> Checkpoint:
    """Read a checkpoint to the CPU.

    Args:
        path: the file.
        settings: those of the training that wants to go on; None reads whatever there is.

    Raises:
        InputError: the file is missing or damaged, or was written by a training with other settings.
    """
    if not path.is_file():
        raise InputError(f"there is no checkpoint {path}: run that training first")
    try:
        parts = torch.load(path, map_location="cpu", weights_only=True)
        checkpoint = Checkpoint(**{part: parts[part] for part in _PARTS})
    except (RuntimeError, KeyError, EOFError, pickle.UnpicklingError) as error:
        raise InputError(f"checkpoint {path} is damaged ({error}): delete it to start anew") from error
    if settings is not None and checkpoint.settings != settings:
        raise InputError(f"checkpoint {path} is of a training with other settings{_changes(checkpoint, settings)}")
    return checkpoint


def made_for(**folders: Path) -> dict[str, Any]:
    """Return the setting that names the networks that a training builds on, by the checksums of their weights."""
    return {"made_for": {name: sha256_of(folder / SAFETENSORS_WEIGHTS_NAME) for name, folder in folders.items()}}


def origin(folder: Path) -> dict[str, Any]:
    """Return what "adopt" noted in a training's folder: nothing where the training began from nothing."""
    path = folder / ORIGIN
    return {"grown_from": json.loads(path.read_text())} if path.is_file() else {}


def _changes(checkpoint: Checkpoint, settings: Mapping[str, Any]) -> str:
    names = sorted(checkpoint.settings.keys() | settings.keys())
    pairs = [(name, checkpoint.settings.get(name), settings.get(name)) for name in names]
    return "".join(f"; {name}: {was} there, {now} now" for name, was, now in pairs if was != now)
