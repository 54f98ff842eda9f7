"""Estimate: what a depth network says of the source view, kept as it is; the stages depth and derive go on from it.

DepthCrafter's latents are kept, too: every dissolve level starts from them. A generated clip is estimated with all
frames, also those that its images fix and that the source view lacks.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from stereozero.artifacts import Artifact
from stereozero.depth.settings import DepthCrafterDepth, EstimatedDepth
from stereozero.manifest import Clip
from stereozero.plan import Plan
from stereozero.stages.depth_model import (
    depth_estimator,
    depthcrafter,
    network_frames,
    network_inputs,
    network_settings,
)
from stereozero.stages.stage import Stage

RAW, LATENTS = "raw.safetensors", "latents.safetensors"


def _artifacts(plan: Plan, variant: str, clip: Clip) -> Sequence[Artifact]:
    if not plan.supplies(variant, clip):
        return []
    files = (RAW, LATENTS) if isinstance(plan.config.depths[variant], DepthCrafterDepth) else (RAW,)
    inputs = {"video": plan.paths.depth_video(clip), **network_inputs(plan, variant)}
    parameters = network_settings(plan, variant, clip)
    return [Artifact(clip.clip_id, plan.paths.estimate(variant, clip.clip_id), files, parameters, inputs)]


def _make(plan: Plan, variant: str, clip: Clip, artifact: Artifact, folder: Path) -> Mapping[str, Any]:
    from stereozero.depth.estimate_file import save_estimate, save_latents
    from stereozero.video import read_video

    video = network_frames(plan, variant, read_video(artifact.inputs["video"]).frames)  # (F, 3, H, W)
    if LATENTS in artifact.files:
        with depthcrafter(plan, variant, artifact.parameters["seed"]) as estimator:
            latents = estimator.estimate_latents(video)  # (F, C, h, w)
            estimate = estimator.finish(video, latents, None)
        save_latents(folder / LATENTS, latents)
    else:
        with depth_estimator(plan, variant) as estimator:
            estimate = estimator.estimate(video)
    save_estimate(folder / RAW, estimate)
    low, high = (float(value) for value in estimate.values.aminmax())
    return {"kind": estimate.kind.value, "smallest": low, "largest": high}


def _variants(plan: Plan) -> tuple[str, ...]:
    return tuple(name for name, depth in plan.config.depths.items() if isinstance(depth, get_args(EstimatedDepth)))


ESTIMATE = Stage(
    name="estimate",
    version=1,
    help="what depth networks say of the source view",
    variants=_variants,
    artifacts=_artifacts,
    make=_make,
    needs_gpu=True,
    discardable=(LATENTS,),
)
