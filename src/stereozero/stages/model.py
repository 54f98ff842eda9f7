"""The configured generator, loaded once a job, for every stage that uses it."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from stereozero.config.generator import AnyGenerator
from stereozero.device import fix_cpu_threads, resolve_device
from stereozero.plan import Plan
from stereozero.published_models import REGISTRY
from stereozero.weights import generator_model, locate, needed_models

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from stereozero.backbones.dynamicrafter import DynamiCrafter


@contextmanager
def configured_backbone(plan: Plan) -> "Iterator[DynamiCrafter]":
    """Lend the plan's generator; it is loaded for the first clip of a job that needs it, and the others share it.

    Raises:
        InputError: the weights are not those of the model.
        StageError: memory ran out inside the block; the message names what takes less.
    """
    device = resolve_device(plan.config.device)
    if device == "cpu":
        fix_cpu_threads()
    from stereozero.backbones.loading import explaining_memory

    with explaining_memory(plan.config.generator):
        yield _load(plan.config.generator, device, _checkpoint(plan))


def _checkpoint(plan: Plan) -> Path | None:
    """Return the official model's file, or None for a saved folder."""
    name = generator_model(plan.config.generator)
    if name is None:
        return None
    cache = Path(plan.config.weights_folder) if plan.config.weights_folder else None
    return locate(REGISTRY[name], needed_models(plan.config)[name], cache)


@functools.lru_cache(maxsize=1)
def _load(generator: AnyGenerator, device: str, checkpoint: Path | None) -> "DynamiCrafter":
    from stereozero.backbones.loading import load_backbone

    return load_backbone(generator, device, checkpoint)


def as_tensor(frames: "np.ndarray") -> "Tensor":
    """Turn uint8 (F, H, W, 3) into float32 (F, 3, H, W) in [0, 1]."""
    import torch

    return torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255


def read_picture(path: Path) -> "Tensor":
    """Read an 8-bit picture as float32 (3, H, W) in [0, 1]."""
    from stereozero.images import load_image

    return as_tensor(load_image(path)[None])[0]
