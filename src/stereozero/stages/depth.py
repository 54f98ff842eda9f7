"""Depth: the source view's disparity, float32 (F, H, W) in [0, 1], 1 nearest, with a colour preview."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stereozero.artifacts import Artifact
from stereozero.config import GivenDepth, WorldDepth
from stereozero.manifest import Clip
from stereozero.plan import Plan
from stereozero.stages.stage import Stage


def _artifacts(plan: Plan, variant: str, clip: Clip) -> Sequence[Artifact]:
    if not plan.supplies(variant, clip):
        return []
    settings = plan.config.depths[variant]
    match settings:
        case GivenDepth():
            read_from = plan.paths.inputs(clip.clip_id) / "disparity.safetensors"
        case WorldDepth():
            read_from = plan.paths.world(clip.clip_id) / "geometry.safetensors"
    inputs = {"known": read_from, "source": plan.paths.source_video(clip)}
    files = ("disparity.safetensors", "preview.mp4")
    folder = plan.paths.depth(variant, clip.clip_id)
    return [Artifact(clip.clip_id, folder, files, settings.model_dump(mode="json"), inputs)]


def _make(plan: Plan, variant: str, clip: Clip, artifact: Artifact, folder: Path) -> Mapping[str, Any]:
    from stereozero.disparity_io import load_disparity, save_disparity
    from stereozero.preview import colour_map_disparity
    from stereozero.video import read_video, write_mp4

    disparity = load_disparity(artifact.inputs["known"])
    settings = plan.config.depths[variant]
    if isinstance(settings, GivenDepth) and settings.invert:
        disparity = 1 - disparity
    save_disparity(folder / "disparity.safetensors", disparity, {"estimator": settings.estimator})
    write_mp4(folder / "preview.mp4", colour_map_disparity(disparity), read_video(artifact.inputs["source"]).fps)
    return {"smallest": float(disparity.min()), "largest": float(disparity.max())}


DEPTH = Stage(
    name="depth",
    version=1,
    help="disparity of the source view, one for each depth variant",
    variants=lambda plan: tuple(plan.config.depths),
    artifacts=_artifacts,
    make=_make,
)
