"""Derive: another depth variant's disparity, propagated along the motion, dissolved or downsampled, in this order.

A level of dissolving starts from DepthCrafter's latents, if it is DepthCrafter's own depth that is dissolved, and from
the encoded disparity otherwise. So an estimation is shared by everything that is derived from it.

An adaptive level leaves in its record's notes the step it was ``dissolved_to`` and every tried step's ``agreement``.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stereozero.artifacts import Artifact
from stereozero.depth.settings import DerivedDepth
from stereozero.manifest import Clip
from stereozero.plan import Plan
from stereozero.stages.depth import DISPARITY, PREVIEW, write_disparity
from stereozero.stages.depth_model import (
    depthcrafter,
    flow_estimator,
    network_frames,
    network_inputs,
    network_settings,
)
from stereozero.stages.estimate import LATENTS, RAW
from stereozero.stages.model import as_tensor
from stereozero.stages.stage import Stage

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from stereozero.depth.estimator import DepthEstimate


def _artifacts(plan: Plan, variant: str, clip: Clip) -> Sequence[Artifact]:
    if not plan.supplies(variant, clip):
        return []
    settings, step = plan.config.depths[variant], plan.dissolve_step(variant, clip)
    parameters: dict[str, Any] = {"propagate": settings.propagate, "dissolve": step, "downsample": settings.downsample}
    inputs = {"video": plan.paths.depth_video(clip)}
    files: tuple[str, ...] = (DISPARITY, PREVIEW)
    if settings.propagate != "none":
        parameters["flow"] = settings.flow
        inputs |= network_inputs(plan, variant)
    if settings.propagate == "reference":
        parameters["flow_size"] = 0.5
    if step == "adaptive":
        parameters["agreement"] = settings.agreement
    if step is not None:
        parameters["dissolver"] = network_settings(plan, settings.crafter, clip)
        inputs |= network_inputs(plan, settings.crafter)
    if settings.propagate != "none" or step is not None:
        parameters["percentiles"] = settings.percentiles
        files += (RAW,)
    if step is not None and settings.crafter == settings.depth and settings.propagate == "none":
        inputs["latents"] = plan.paths.estimate(settings.depth, clip.clip_id) / LATENTS
    else:
        inputs["disparity"] = plan.paths.disparity(settings.depth, clip.clip_id)
    return [Artifact(clip.clip_id, plan.paths.depth(variant, clip.clip_id), files, parameters, inputs)]


def _make(plan: Plan, variant: str, clip: Clip, artifact: Artifact, folder: Path) -> Mapping[str, Any]:
    from stereozero.depth.convention import downsample, to_disparity
    from stereozero.depth.estimate_file import save_estimate
    from stereozero.video import read_video

    settings, source = plan.config.depths[variant], read_video(artifact.inputs["video"])
    if RAW in artifact.files:
        estimate, notes = _changed(plan, settings, artifact, source.frames)
        save_estimate(folder / RAW, estimate)
        disparity = to_disparity(estimate, settings.percentiles)  # (F, H, W)
    else:
        disparity, notes = _base(artifact), {}
    disparity = downsample(disparity, settings.downsample)
    write_disparity(folder, disparity.numpy(), source.fps, settings.estimator)
    return {"smallest": float(disparity.min()), "largest": float(disparity.max()), **notes}


def _changed(
    plan: Plan, settings: DerivedDepth, artifact: Artifact, frames: "np.ndarray"
) -> "tuple[DepthEstimate, dict[str, Any]]":
    """Propagate and dissolve, as far as asked for, the depth of a video (F, H, W, 3); with notes for the record."""
    from stereozero.depth.estimate_file import load_latents
    from stereozero.depth.estimator import DepthEstimate, DepthKind

    disparity = None
    if "latents" not in artifact.inputs:
        disparity = _base(artifact)  # (F, H, W)
        if settings.propagate != "none":
            disparity = _propagated(plan, settings, disparity, as_tensor(frames))
        if artifact.parameters["dissolve"] is None:
            return DepthEstimate(disparity, DepthKind.INVERSE), {}
    video = network_frames(plan, settings.crafter, frames)  # (F, 3, H, W)
    with depthcrafter(plan, settings.crafter, artifact.parameters["dissolver"]["seed"]) as estimator:
        if disparity is not None:
            return _dissolved(artifact, partial(estimator.dissolve_disparity, video, disparity))
        return _dissolved(artifact, partial(estimator.finish, video, load_latents(artifact.inputs["latents"])))


def _dissolved(
    artifact: Artifact, level: "Callable[[int | None], DepthEstimate]"
) -> "tuple[DepthEstimate, dict[str, Any]]":
    """Return the level that the artefact asks for; one that the clip decides is told in the notes."""
    from stereozero.depth.adaptive import choose_level

    step = artifact.parameters["dissolve"]
    if step != "adaptive":
        return level(step), {}
    chosen = choose_level(level, artifact.parameters["agreement"])
    agreements = {str(tried): round(value, 4) for tried, value in chosen.agreements.items()}
    return chosen.estimate, {"dissolved_to": chosen.step, "agreement": agreements}


def _base(artifact: Artifact) -> "Tensor":
    """Return the disparity (F, H, W) that is changed."""
    import torch

    from stereozero.disparity_io import load_disparity

    return torch.from_numpy(load_disparity(artifact.inputs["disparity"]))


def _propagated(plan: Plan, settings: DerivedDepth, disparity: "Tensor", video: "Tensor") -> "Tensor":
    from stereozero.depth.flow import half_size_flow
    from stereozero.depth.propagation import propagate, propagate_reference

    with flow_estimator(plan, settings) as estimator:
        if settings.propagate == "reference":
            return propagate_reference(disparity, half_size_flow(estimator, video))
        return propagate(disparity, estimator.estimate(video))


DERIVE = Stage(
    name="derive",
    version=1,
    help="disparity derived from another depth variant's: propagated, dissolved, downsampled",
    variants=lambda plan: tuple(name for name, depth in plan.config.depths.items() if isinstance(depth, DerivedDepth)),
    artifacts=_artifacts,
    make=_make,
    needs_gpu=True,
)
