"""Generate: a video of a prompt and an image, with its latents after every sampling step.

Clips are sampled one at a time, each with noise of its own seed, so that a clip's result does not depend on which
clips share its job. What a trajectory holds is described in :mod:`stereozero.trajectory`, and how its frames relate to
the video's in :mod:`stereozero.generator`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stereozero.artifacts import Artifact
from stereozero.config.generator import AnyGenerator
from stereozero.generator import held_timestep, kept_frames, sampling_settings
from stereozero.manifest import Clip, ClipKind
from stereozero.plan import Plan
from stereozero.stages.model import configured_backbone, read_picture
from stereozero.stages.stage import Stage

if TYPE_CHECKING:
    import numpy as np

    from stereozero.backbones.dynamicrafter import DynamiCrafter
    from stereozero.diffusion.backbone import ClipRequest
    from stereozero.trajectory import Trajectory

_TRAJECTORY, _SOURCE, _ALL_FRAMES, _PREVIEW = "trajectory.safetensors", "source.mkv", "all_frames.mkv", "preview.mp4"


def _artifacts(plan: Plan, variant: str, clip: Clip) -> Sequence[Artifact]:
    generator = plan.config.generator
    if clip.kind is not ClipKind.IMAGE or generator is None:
        return []
    images = plan.paths.inputs(clip.clip_id)
    inputs = {"image": images / "image.png"}
    if clip.end_image is not None:
        inputs["end_image"] = images / "end_image.png"
    inputs |= plan.model_inputs
    files = (_TRAJECTORY, _SOURCE, _PREVIEW, *([] if clip.mode == "plain" else [_ALL_FRAMES]))
    parameters = {
        **sampling_settings(generator, plan.variant, clip, plan.seed(clip)),
        **held_timestep(generator, plan.variant),
        "fps": plan.config.video.fps,
    }
    return [Artifact(clip.clip_id, plan.paths.generated(clip.clip_id), files, parameters, inputs)]


def _make(plan: Plan, variant: str, clip: Clip, artifact: Artifact, folder: Path) -> Mapping[str, Any]:
    from stereozero.trajectory import save_trajectory

    with configured_backbone(plan) as backbone:
        trajectory = _sample(backbone, plan.config.generator, artifact)
        frames = _decode(backbone, trajectory)
    save_trajectory(folder / _TRAJECTORY, trajectory)
    _write_videos(frames, trajectory.kept, artifact, folder)
    return {"frames": len(trajectory.kept), "device": str(backbone.device)}


def _sample(backbone: "DynamiCrafter", generator: AnyGenerator, artifact: Artifact) -> "Trajectory":
    import torch

    from stereozero.diffusion.sampling import initial_latents, reporting, sample
    from stereozero.diffusion.schedule import ddim_schedule
    from stereozero.trajectory import Trajectory

    settings, request = artifact.parameters, request_of(artifact)
    schedule = ddim_schedule(backbone.schedule, settings["steps"], spacing=settings["spacing"], eta=settings["eta"])
    pair = backbone.encode_conditioning([request])
    start = initial_latents(backbone, [request.seed], *request.image.shape[1:], device=backbone.device)
    steps = sample(
        backbone,
        pair,
        schedule,
        start,
        [request.seed],
        guidance=settings["guidance"],
        image_guidance=settings.get("image_guidance"),
        rescale=settings["guidance_rescale"],
        one_batch=generator.guidance_in_one_batch,
        hold_below=settings.get("hold_below", 0),
    )
    entries = [start, *reporting(steps, len(schedule))]
    latents = torch.stack([entry[0].cpu() for entry in entries])  # (S + 1, C, F, h, w)
    kept = kept_frames(settings["mode"], backbone.frames)
    return Trajectory(latents, torch.from_numpy(schedule.timesteps), backbone.variant.name, kept)


def request_of(artifact: Artifact) -> "ClipRequest":
    """Return what a generated clip was to show, from its sampling settings and its pictures."""
    from stereozero.diffusion.backbone import ClipRequest

    settings, image = artifact.parameters, read_picture(artifact.inputs["image"])
    end_image = image if settings["mode"] == "loop" else None
    if settings["mode"] == "interpolation":
        end_image = read_picture(artifact.inputs["end_image"])
    return ClipRequest(settings["prompt"], settings["seed"], image, end_image, settings["frame_stride"])


def _decode(backbone: "DynamiCrafter", trajectory: "Trajectory") -> "np.ndarray":
    """Return all frames of a trajectory's end, uint8 (F, H, W, 3)."""
    from stereozero.video import to_uint8

    frames = backbone.decode_latents(trajectory.latents[-1:].to(backbone.device))[0]  # (F, 3, H, W)
    return to_uint8(frames.permute(0, 2, 3, 1).cpu().numpy())


def _write_videos(frames: "np.ndarray", kept: range, artifact: Artifact, folder: Path) -> None:
    from stereozero.video import write_lossless, write_mp4

    fps = artifact.parameters["fps"]
    shown = frames[kept.start : kept.stop]
    write_lossless(folder / _SOURCE, shown, fps)
    write_mp4(folder / _PREVIEW, shown, fps)
    if _ALL_FRAMES in artifact.files:
        write_lossless(folder / _ALL_FRAMES, frames, fps)


GENERATE = Stage(
    name="generate",
    version=1,
    help="videos of prompts and images, with the latents after every sampling step",
    variants=lambda plan: ("",),
    artifacts=_artifacts,
    make=_make,
    needs_gpu=True,
    discardable=(_TRAJECTORY,),
)
