"""Stereo: the target view of a source view's trajectory and disparity, by StereoCrafter-Zero's sampler."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stereozero.artifacts import Artifact
from stereozero.errors import InputError
from stereozero.generator import kept_frames, sampling_settings
from stereozero.manifest import Clip, ClipKind
from stereozero.plan import Plan
from stereozero.stages.generate import request_of
from stereozero.stages.model import configured_backbone
from stereozero.stages.stage import Stage
from stereozero.stages.trajectory import caption_input, window_requests
from stereozero.stereo.settings import SamplerSettings

if TYPE_CHECKING:
    import numpy as np

    from stereozero.backbones.dynamicrafter import DynamiCrafter
    from stereozero.diffusion.backbone import ClipRequest
    from stereozero.stages.stereo_window import Target
    from stereozero.trajectory import Trajectory

log = logging.getLogger(__name__)


def _artifacts(plan: Plan, variant: str, clip: Clip) -> Sequence[Artifact]:
    settings = plan.method(variant)
    if settings.kind != "ours" or not plan.runs(variant, clip):
        return []
    generator = plan.config.generator
    parameters = {
        **sampling_settings(generator, plan.variant, clip, plan.seed(clip)),
        "guidance": plan.guidance(variant),
        "strength": plan.strength(clip, variant),
        "views": settings.views,
        "sampler": plan.sampler(variant, clip).model_dump(mode="json"),
    }
    inputs = {
        "trajectory": plan.trajectory(variant, clip),
        "source": plan.paths.source_video(clip),
        **_disparity_inputs(plan, settings.depth, clip),
        **caption_input(plan, clip),
        **plan.model_inputs,
    }
    if clip.kind is ClipKind.IMAGE:
        inputs |= _pictures(plan, clip)
    files = ("target.mkv", "blank.mkv", "latents.safetensors", *(["source.mkv"] if settings.views == "both" else []))
    return [Artifact(clip.clip_id, plan.paths.target(variant, clip.clip_id), files, parameters, inputs)]


def _disparity_inputs(plan: Plan, depth: str, clip: Clip) -> dict[str, Path]:
    """Return "disparity", and "disparity/<first step>" for each further level of a progressive depth."""
    files = {step: plan.paths.disparity(level, clip.clip_id) for step, level in plan.depth_levels(depth).items()}
    return {f"disparity/{step}" if step else "disparity": path for step, path in files.items()}


def _disparity_files(artifact: Artifact) -> dict[int, Path]:
    """Return first sampling step, of 50 -> disparity."""
    files = {name: path for name, path in artifact.inputs.items() if name.startswith("disparity")}
    return {int(name.partition("/")[2] or 0): path for name, path in files.items()}


def _pictures(plan: Plan, clip: Clip) -> dict[str, Path]:
    folder = plan.paths.inputs(clip.clip_id)
    pictures = {"image": folder / "image.png", "all_frames": plan.paths.all_frames(clip)}
    return pictures | ({"end_image": folder / "end_image.png"} if clip.end_image is not None else {})


def _make(plan: Plan, variant: str, clip: Clip, artifact: Artifact, folder: Path) -> Mapping[str, Any]:
    from stereozero.disparity_io import load_disparity
    from stereozero.trajectory import load_trajectory
    from stereozero.video import read_video

    source = read_video(artifact.inputs.get("all_frames", artifact.inputs["source"]))
    shown = kept_frames(artifact.parameters["mode"], len(source.frames))
    files = _disparity_files(artifact).items()
    disparities = {step: _fit_disparity(load_disparity(path), source.frames, shown) for step, path in files}
    trajectory = load_trajectory(artifact.inputs["trajectory"])
    with configured_backbone(plan) as backbone:
        _check_trajectory(trajectory, backbone, source.frames, artifact)
        views = _sample_views(plan, backbone, artifact, source.frames, disparities, trajectory)
    _write(folder, views, shown, source.fps)
    return {"blank_share": round(float(views["target"].blank.mean()), 6)}


def _sample_views(
    plan: Plan,
    backbone: "DynamiCrafter",
    artifact: Artifact,
    frames: "np.ndarray",
    disparities: "Mapping[int, np.ndarray]",
    trajectory: "Trajectory",
) -> "dict[str, Target]":
    """Return "target", for two synthesised views also "source", each of all frames and all windows."""
    import torch

    from stereozero.stages.stereo_window import Target, Window, WindowSampler, join_windows
    from stereozero.trajectory import frame_windows

    values = artifact.parameters
    one_batch = plan.config.generator.guidance_in_one_batch
    sampler = WindowSampler(backbone, values, SamplerSettings(**values["sampler"]), one_batch=one_batch)
    numbers = frame_windows(len(frames), backbone.frames)
    latents = trajectory.latents.split(backbone.frames, dim=2)  # (S + 1, C, F, h, w) a window
    requests = _requests(artifact, frames, numbers)
    is_generated = "image" in artifact.inputs
    views = {}
    for view, strength in _strengths(values).items():
        parts = []
        for index, (request, window, part) in enumerate(zip(requests, numbers, latents, strict=True), 1):
            log.info("%s view, window %d of %d", view, index, len(numbers))
            levels = {step: disparity[window] for step, disparity in disparities.items()}
            one = Window(request, frames[window], levels, part, is_generated)
            parts.append(sampler.sample(one, strength))
        joined = (join_windows([getattr(part, name) for part in parts], numbers) for name in ("frames", "blank"))
        views[view] = Target(*joined, torch.cat([part.latents for part in parts], dim=1))
    return views


def _strengths(values: Mapping[str, Any]) -> dict[str, float]:
    if values["views"] == "target":
        return {"target": values["strength"]}
    return {"target": values["strength"] / 2, "source": -values["strength"] / 2}


def _write(folder: Path, views: "Mapping[str, Target]", shown: range, fps: float) -> None:
    from safetensors.torch import save_file

    from stereozero.video import write_lossless, write_mask

    for name, view in views.items():
        write_lossless(folder / f"{name}.mkv", view.frames[shown.start : shown.stop], fps)
    write_mask(folder / "blank.mkv", views["target"].blank[shown.start : shown.stop], fps)
    save_file({"latents": views["target"].latents}, folder / "latents.safetensors")


def _fit_disparity(disparity: "np.ndarray", frames: "np.ndarray", shown: range) -> "np.ndarray":
    """Return a disparity for every frame; one of the shown frames alone is repeated at the ends that images fix.

    Raises:
        InputError: of another length or size than the frames, or without any difference in depth.
    """
    import numpy as np

    if len(disparity) == len(shown) != len(frames):
        disparity = np.pad(disparity, ((shown.start, len(frames) - shown.stop), (0, 0), (0, 0)), mode="edge")
    if disparity.shape != frames.shape[:3]:
        raise InputError(
            f"disparity is {disparity.shape} (frames, height, width), but the source video is {frames.shape[:3]}; "
            "estimate or give it for the same frames at the same size"
        )
    if np.ptp(disparity) == 0:
        raise InputError(
            f"disparity is {disparity.flat[0]:g} everywhere: without a difference in depth there is no stereo to "
            "make; use another depth variant, or the method kind 'mono-copy' for flat clips"
        )
    return disparity


def _check_trajectory(
    trajectory: "Trajectory", backbone: "DynamiCrafter", frames: "np.ndarray", artifact: Artifact
) -> None:
    """Make sure that latents are of the model, the schedule and the video.

    Raises:
        InputError: they are of another.
    """
    from stereozero.trajectory import frame_windows

    factor, wanted = backbone.vae_factor, artifact.parameters["steps"]
    count = len(frame_windows(len(frames), backbone.frames)) * backbone.frames
    size = (count, frames.shape[1] // factor, frames.shape[2] // factor)
    found = tuple(trajectory.latents.shape[2:])
    if (trajectory.backbone, trajectory.steps, found) != (backbone.variant.name, wanted, size):
        raise InputError(
            f"{artifact.inputs['trajectory']}: is of the model {trajectory.backbone} with {trajectory.steps} steps and "
            f"{found} latents (frames, height, width); {backbone.variant.name} with {wanted} steps and {size} latents "
            "is needed: make it again with this configuration"
        )


def _requests(artifact: Artifact, frames: "np.ndarray", windows: Sequence[Sequence[int]]) -> "list[ClipRequest]":
    if "image" in artifact.inputs:
        return [request_of(artifact)]
    return window_requests(artifact, frames, windows)


STEREO = Stage(
    name="stereo",
    version=1,
    help="target views sampled with the generator (StereoCrafter-Zero)",
    variants=lambda plan: tuple(name for name, method in plan.config.methods.items() if method.kind == "ours"),
    artifacts=_artifacts,
    make=_make,
    needs_gpu=True,
    discardable=("latents.safetensors",),
)
