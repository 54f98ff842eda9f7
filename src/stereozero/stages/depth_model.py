"""The configured depth networks, loaded once a job, for every stage that uses them."""

import functools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stereozero.config.depths import AnyDepth
from stereozero.depth.models import estimate_settings, less_memory, local_files
from stereozero.depth.settings import DepthCrafterDepth, DerivedDepth, EstimatedDepth
from stereozero.device import explaining_lack_of_memory, fix_cpu_threads, resolve_device
from stereozero.manifest import Clip
from stereozero.plan import Plan
from stereozero.published_models import REGISTRY
from stereozero.stages.model import as_tensor
from stereozero.weights import depth_models, locate

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from stereozero.depth.depthcrafter_estimator import DepthCrafterEstimator
    from stereozero.depth.estimator import DepthEstimator
    from stereozero.depth.flow import FlowEstimator


def network_inputs(plan: Plan, variant: str) -> dict[str, Path]:
    """Return name -> files that stand for a variant's weights: local ones, and records of fetched ones."""
    settings = plan.config.depths[variant]
    fetched = {model: plan.paths.weights(model) for model in depth_models(settings)}
    return {f"model/{name}": path for name, path in {**fetched, **local_files(settings)}.items()}


def network_settings(plan: Plan, variant: str, clip: Clip) -> Mapping[str, Any]:
    """Return all settings that change what a variant's networks make of a clip, as JSON values."""
    settings = plan.config.depths[variant]
    seed = {"seed": plan.seed(clip)} if isinstance(settings, DepthCrafterDepth) else {}
    return estimate_settings(settings) | seed


def network_frames(plan: Plan, variant: str, frames: "np.ndarray") -> "Tensor":
    """Return a video (F, H, W, 3) uint8 as a variant's networks see it: float (F, 3, H, W) in [0, 1] or [0.5, 1]."""
    video = as_tensor(frames)
    return (1 + video) / 2 if plan.config.depths[variant].half_range else video


@contextmanager
def depth_estimator(plan: Plan, variant: str) -> "Iterator[DepthEstimator]":
    """Lend a variant's estimator; it is loaded for the first clip of a job that needs it, and the others share it.

    Raises:
        InputError: the weights are missing or not those of the model.
        StageError: memory ran out inside the block; the message names what takes less.
    """
    settings, device = plan.config.depths[variant], _device(plan)
    with explaining_lack_of_memory(functools.partial(less_memory, settings)):
        yield _load(settings, device, _cache(plan))


@contextmanager
def depthcrafter(plan: Plan, variant: str, seed: int) -> "Iterator[DepthCrafterEstimator]":
    """Lend a depthcrafter variant's estimator with the seed of a clip; see :func:`depth_estimator`."""
    from stereozero.depth.depthcrafter_estimator import DepthCrafterEstimator

    with depth_estimator(plan, variant) as loaded:
        yield DepthCrafterEstimator(loaded.model, replace(loaded.settings, seed=seed))


@contextmanager
def flow_estimator(plan: Plan, settings: DerivedDepth) -> "Iterator[FlowEstimator]":
    """Lend the estimator of motion that a derived variant propagates with; see :func:`depth_estimator`."""
    device = _device(plan)
    with explaining_lack_of_memory(lambda where: "take the flow 'raft_small' or 'dis'"):
        yield _load_flow(settings, device, _cache(plan))


def _device(plan: Plan) -> str:
    device = resolve_device(plan.config.device)
    if device == "cpu":
        fix_cpu_threads()
    return device


def _cache(plan: Plan) -> Path | None:
    return Path(plan.config.weights_folder) if plan.config.weights_folder else None


def _fetched(settings: AnyDepth, cache: Path | None) -> dict[str, Path]:
    """Return name -> file of each published model that a variant needs."""
    return {name: locate(REGISTRY[name], cache=cache) for name in depth_models(settings)}


@functools.lru_cache(maxsize=1)
def _load_flow(settings: DerivedDepth, device: str, cache: Path | None) -> "FlowEstimator":
    from stereozero.depth import flow

    checkpoint = next(iter(_fetched(settings, cache).values()), None)
    return flow.flow_estimator(settings.flow, device, checkpoint)


@functools.lru_cache(maxsize=1)
def _load(settings: EstimatedDepth, device: str, cache: Path | None) -> "DepthEstimator":
    from stereozero.depth.models import load_estimator

    return load_estimator(settings, device, _fetched(settings, cache))
