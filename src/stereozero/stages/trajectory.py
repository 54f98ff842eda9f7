"""Trajectory: latents that a given or rendered video could have come from, so that the stereo sampler can start there.

Videos longer than the model's clips are divided into windows (:func:`stereozero.trajectory.frame_windows`), and the
trajectory holds the windows one behind the other along its frames.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stereozero.artifacts import Artifact
from stereozero.errors import InputError
from stereozero.generator import sampling_settings, size_factor
from stereozero.manifest import Clip, ClipKind
from stereozero.plan import Plan
from stereozero.stages.model import as_tensor, configured_backbone
from stereozero.stages.stage import Stage

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from stereozero.backbones.dynamicrafter import DynamiCrafter
    from stereozero.diffusion.backbone import ClipRequest
    from stereozero.diffusion.schedule import DdimSchedule


def _artifacts(plan: Plan, variant: str, clip: Clip) -> Sequence[Artifact]:
    if clip.kind is ClipKind.IMAGE or not any(plan.runs(name, clip) for name in _users(plan, variant)):
        return []
    settings = sampling_settings(plan.config.generator, plan.variant, clip, plan.seed(clip))
    parameters = {name: settings[name] for name in ("steps", "spacing", "dynamic_rescale", "seed")}
    inputs = {"source": plan.paths.source_video(clip), **plan.model_inputs}
    if variant == "inverted":
        parameters |= {name: settings[name] for name in ("prompt", "frame_stride")}
        inputs |= caption_input(plan, clip)
    folder = plan.paths.given_trajectory(variant, clip.clip_id)
    return [Artifact(clip.clip_id, folder, ("trajectory.safetensors",), {"how": variant, **parameters}, inputs)]


def _users(plan: Plan, how: str) -> list[str]:
    methods = plan.config.methods.items()
    return [name for name, method in methods if method.kind == "ours" and method.trajectory == how]


def caption_input(plan: Plan, clip: Clip) -> dict[str, Path]:
    """Return the caption of a rendered clip that has no prompt of its own, as an artefact's input."""
    is_captioned = clip.kind is ClipKind.WORLD and not clip.prompt
    return {"caption": plan.paths.world(clip.clip_id) / "caption.txt"} if is_captioned else {}


def window_requests(artifact: Artifact, frames: "np.ndarray", windows: Sequence[Sequence[int]]) -> "list[ClipRequest]":
    """Return what each window of a given video (F, H, W, 3) shows: its own first frame is its conditioning image."""
    from stereozero.diffusion.backbone import ClipRequest

    settings = artifact.parameters
    prompt = settings.get("prompt", "")
    if "caption" in artifact.inputs:
        prompt = artifact.inputs["caption"].read_text(encoding="utf-8").strip()
    images = as_tensor(frames[[window[0] for window in windows]])  # (W, 3, H, W)
    return [ClipRequest(prompt, settings["seed"], image, fs=settings.get("frame_stride")) for image in images]


def _make(plan: Plan, variant: str, clip: Clip, artifact: Artifact, folder: Path) -> Mapping[str, Any]:
    import torch

    from stereozero.diffusion.schedule import ddim_schedule
    from stereozero.trajectory import Trajectory, frame_windows, save_trajectory
    from stereozero.video import read_video

    settings = artifact.parameters
    frames = read_video(artifact.inputs["source"]).frames
    _check_size(frames, size_factor(plan.config.generator))
    with configured_backbone(plan) as backbone:
        schedule = ddim_schedule(backbone.schedule, settings["steps"], spacing=settings["spacing"], eta=0.0)
        windows = frame_windows(len(frames), backbone.frames)
        clean = _encode(backbone, frames, windows, settings["seed"])
        trace = _noised if variant == "noised" else _inverted
        parts = trace(backbone, artifact, schedule, clean, frames, windows)
    latents = torch.cat(parts, dim=2)  # (S + 1, C, W * F, h, w)
    timesteps = torch.from_numpy(schedule.timesteps)
    trajectory = Trajectory(latents, timesteps, backbone.variant.name, range(latents.shape[2]))
    save_trajectory(folder / "trajectory.safetensors", trajectory)
    return {"windows": len(windows)}


def _check_size(frames: "np.ndarray", factor: int) -> None:
    height, width = frames.shape[1:3]
    if height % factor or width % factor:
        raise InputError(
            f"source video: {height} x {width} pixels (height x width); both must be multiples of {factor} for the "
            "generator's networks; crop or scale the video before"
        )


def _encode(
    backbone: "DynamiCrafter", frames: "np.ndarray", windows: Sequence[Sequence[int]], seed: int
) -> "list[Tensor]":
    # (C, F, h, w) on the CPU for each window
    return [backbone.encode_video(as_tensor(frames[window])[None], [seed])[0].cpu() for window in windows]


def _noised(
    backbone: "DynamiCrafter",
    artifact: Artifact,
    schedule: "DdimSchedule",
    clean: "list[Tensor]",
    frames: "np.ndarray",
    windows: Sequence[Sequence[int]],
) -> "list[Tensor]":
    from stereozero.diffusion.inversion import noised_trajectory
    from stereozero.diffusion.noise import seeded_noise

    seed = artifact.parameters["seed"]
    noises = (seeded_noise(one.shape, seed, "forward", number) for number, one in enumerate(clean))
    return [noised_trajectory(one, noise, schedule) for one, noise in zip(clean, noises, strict=True)]


def _inverted(
    backbone: "DynamiCrafter",
    artifact: Artifact,
    schedule: "DdimSchedule",
    clean: "list[Tensor]",
    frames: "np.ndarray",
    windows: Sequence[Sequence[int]],
) -> "list[Tensor]":
    import torch

    from stereozero.diffusion.inversion import inverted_steps
    from stereozero.diffusion.sampling import reporting

    parts = []
    for request, latents in zip(window_requests(artifact, frames, windows), clean, strict=True):
        condition = backbone.encode_conditioning([request]).conditional
        steps = inverted_steps(backbone, condition, backbone.schedule, schedule, latents.to(backbone.device))
        noisier = [one.cpu() for one in reporting(steps, len(schedule))]
        parts.append(torch.stack([*reversed(noisier), latents]))  # (S + 1, C, F, h, w)
    return parts


TRAJECTORY = Stage(
    name="trajectory",
    version=1,
    help="latents that given and rendered videos could have come from",
    variants=lambda plan: tuple(how for how in ("noised", "inverted") if _users(plan, how)),
    artifacts=_artifacts,
    make=_make,
    needs_gpu=True,
    discardable=("trajectory.safetensors",),
)
