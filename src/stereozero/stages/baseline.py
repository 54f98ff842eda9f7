"""Baseline: target views made without the video model: controls, finished results, and warp-and-fill."""

import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stereozero.artifacts import Artifact
from stereozero.config.methods import (
    External,
    Finished,
    GroundTruth,
    MonoCopy,
    Ours,
    StereoDiffusion,
    VaeLimit,
    WarpFill,
)
from stereozero.device import resolve_device
from stereozero.manifest import Clip
from stereozero.plan import Plan
from stereozero.stages.depth import shown_disparity
from stereozero.stages.model import as_tensor, configured_backbone
from stereozero.stages.stage import Stage

log = logging.getLogger(__name__)


def _artifacts(plan: Plan, variant: str, clip: Clip) -> Sequence[Artifact]:
    if not plan.runs(variant, clip):
        return []
    settings, strength = plan.method(variant), plan.strength(clip, variant)
    folder, source = plan.paths.target(variant, clip.clip_id), plan.paths.source_video(clip)
    files: tuple[str, ...] = ("target.mkv",)
    parameters: dict[str, Any] = {"kind": settings.kind}
    match settings:
        case MonoCopy():
            inputs = {"video": source}
        case GroundTruth():
            inputs = {"video": plan.paths.truth_video(clip, strength)}
        case VaeLimit():
            inputs = {"truth": plan.paths.truth_video(clip, strength), **plan.model_inputs}
            parameters |= {"seed": plan.seed(clip)}
        case Finished():
            inputs = {"video": plan.finished_video(variant, clip)}
            if settings.folder is not None:
                inputs |= {"source": source}
                parameters |= settings.model_dump(mode="json", exclude={"folder"})
                parameters |= {"target_side": plan.target_side(clip, variant)}
        case WarpFill():
            inputs = {"source": source, "disparity": plan.disparity(settings.depth, clip)}
            files = ("target.mkv", "blank.mkv")
            parameters |= {**settings.model_dump(mode="json", exclude={"depth"}), "strength": strength}
    return [Artifact(clip.clip_id, folder, files, parameters, inputs)]


def _make(plan: Plan, variant: str, clip: Clip, artifact: Artifact, folder: Path) -> Mapping[str, Any] | None:
    if artifact.parameters["kind"] == "warp-fill":
        return _warp_and_fill(clip, artifact, folder, resolve_device(plan.config.device))
    if artifact.parameters["kind"] == "vae-limit":
        return _encode_and_decode(plan, artifact, folder)
    if "layout" in artifact.parameters:
        return _take_over(clip, artifact, folder)
    shutil.copyfile(artifact.inputs["video"], folder / "target.mkv")
    return None


def _take_over(clip: Clip, artifact: Artifact, folder: Path) -> Mapping[str, Any]:
    """Keep another's video as the target view of one of the run's clips; doubts about it are logged and recorded."""
    from stereozero.packed_views import unpack_views, view_doubts
    from stereozero.video import check_same_frames, read_video, write_lossless

    source, settings = read_video(artifact.inputs["source"]), artifact.parameters
    path = artifact.inputs["video"]
    target = read_video(path).frames
    if settings["layout"] != "target":
        left, right = unpack_views(path, target, settings["layout"], settings["swap_eyes"])
        target = left if settings["target_side"] == "left" else right
    check_same_frames(artifact.inputs["source"], source.frames.shape, path, target.shape)
    doubts = list(view_doubts(source.frames, target))
    for doubt in doubts:
        log.warning("clip '%s', %s: %s", clip.clip_id, path, doubt)
    write_lossless(folder / "target.mkv", target, source.fps)
    return {"warnings": doubts}


def _encode_and_decode(plan: Plan, artifact: Artifact, folder: Path) -> None:
    from stereozero.video import read_video, to_uint8, write_lossless

    truth = read_video(artifact.inputs["truth"])
    frames = as_tensor(truth.frames)  # (F, 3, H, W)
    with configured_backbone(plan) as backbone:
        latents = backbone.encode_video(frames[None], [artifact.parameters["seed"]])  # (1, C, F, h, w)
        decoded = backbone.decode_latents(latents)[0].cpu()  # (F, 3, H, W)
    write_lossless(folder / "target.mkv", to_uint8(decoded.permute(0, 2, 3, 1).numpy()), truth.fps)


def _warp_and_fill(clip: Clip, artifact: Artifact, folder: Path, device: str) -> Mapping[str, Any]:
    from stereozero.baselines.warp_fill import warp_fill
    from stereozero.video import read_video, write_lossless, write_mask

    source = read_video(artifact.inputs["source"])
    disparity = shown_disparity(artifact.inputs["disparity"], clip)
    settings = artifact.parameters
    filled = warp_fill(
        source.frames,
        disparity,
        settings["strength"],
        settings["fill"],
        mode=settings["warp"],
        halo=settings["halo"],
        device=device,
    )
    write_lossless(folder / "target.mkv", filled.target, source.fps)
    write_mask(folder / "blank.mkv", filled.blank, source.fps)
    return {"blank_share": round(float(filled.blank.mean()), 6)}


BASELINE = Stage(
    name="baseline",
    version=1,
    help="target views made without the video model: controls, finished results, warp-and-fill",
    variants=lambda plan: tuple(
        name
        for name, method in plan.config.methods.items()
        if not isinstance(method, Ours | StereoDiffusion | External)
    ),
    artifacts=_artifacts,
    make=_make,
)
