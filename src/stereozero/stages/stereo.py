"""Stereo: the target view of a source view's trajectory and disparity, by StereoCrafter-Zero's sampler."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
from stereozero.stages.trajectory import as_tensor, caption_input, window_requests
from stereozero.stereo.settings import SamplerSettings, scaled_step

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from stereozero.backbones.dynamicrafter import DynamiCrafter
    from stereozero.baselines.warp_fill import Filled
    from stereozero.diffusion.backbone import ClipRequest
    from stereozero.diffusion.schedule import DdimSchedule
    from stereozero.stereo.latent_warp import LatentWarp
    from stereozero.stereo.sampler import StereoSampler
    from stereozero.trajectory import Trajectory

log = logging.getLogger(__name__)

_HOLES = "edge-stretch"  # what fills the warped source's holes where it is encoded or shines through a seam


def _artifacts(plan: Plan, variant: str, clip: Clip) -> Sequence[Artifact]:
    settings = plan.method(variant)
    if settings.kind != "ours" or not plan.runs(variant, clip):
        return []
    generator = plan.config.generator
    parameters = {
        **sampling_settings(generator, plan.variant, clip, plan.seed(clip)),
        "guidance": plan.guidance(variant),
        "strength": plan.strength(clip, variant),
        "sampler": plan.sampler(variant, clip).model_dump(mode="json"),
    }
    inputs = {
        "trajectory": plan.trajectory(variant, clip),
        "source": plan.paths.source_video(clip),
        "disparity": plan.paths.disparity(settings.depth, clip.clip_id),
        **caption_input(plan, clip),
        **plan.model_inputs,
    }
    if clip.kind is ClipKind.IMAGE:
        inputs |= _pictures(plan, clip)
    files = ("target.mkv", "blank.mkv", "latents.safetensors")
    return [Artifact(clip.clip_id, plan.paths.target(variant, clip.clip_id), files, parameters, inputs)]


def _pictures(plan: Plan, clip: Clip) -> dict[str, Path]:
    folder = plan.paths.inputs(clip.clip_id)
    pictures = {"image": folder / "image.png", "all_frames": plan.paths.all_frames(clip)}
    return pictures | ({"end_image": folder / "end_image.png"} if clip.end_image is not None else {})


@dataclass(frozen=True, eq=False)
class _Window:
    """A part of a clip as long as the model's clips; F frames.

    Attributes:
        request: what it shows.
        frames: (F, H, W, 3) uint8 of the source.
        disparity: (F, H, W) float32 in [0, 1].
        trajectory: (S + 1, C, F, h, w).
    """

    request: "ClipRequest"
    frames: "np.ndarray"
    disparity: "np.ndarray"
    trajectory: "Tensor"


def _make(plan: Plan, variant: str, clip: Clip, artifact: Artifact, folder: Path) -> Mapping[str, Any]:
    import numpy as np
    from safetensors.torch import save_file

    from stereozero.disparity_io import load_disparity
    from stereozero.trajectory import frame_windows, load_trajectory
    from stereozero.video import read_video, write_lossless, write_mask

    source = read_video(artifact.inputs.get("all_frames", artifact.inputs["source"]))
    trajectory = load_trajectory(artifact.inputs["trajectory"])
    disparity = load_disparity(artifact.inputs["disparity"])
    shown = kept_frames(artifact.parameters["mode"], len(source.frames))
    disparity = _fit_disparity(disparity, source.frames, shown)
    with configured_backbone(plan) as backbone:
        _check_trajectory(trajectory, backbone, artifact)
        numbers = frame_windows(len(source.frames), backbone.frames)
        results = []
        for index, request in enumerate(_requests(artifact, source.frames, numbers)):
            log.info("window %d of %d", index + 1, len(numbers))
            frames = numbers[index]
            part = trajectory.latents[:, :, index * len(frames) : (index + 1) * len(frames)]  # (S + 1, C, F, h, w)
            window = _Window(request, source.frames[frames], disparity[frames], part)
            results.append(_sample(plan, backbone, artifact, window))
    targets, blanks, latents = zip(*results, strict=True)
    target, blank = (_joined(parts, numbers)[shown.start : shown.stop] for parts in (targets, blanks))
    write_lossless(folder / "target.mkv", target, source.fps)
    write_mask(folder / "blank.mkv", blank, source.fps)
    save_file({f"window{index}": one for index, one in enumerate(latents)}, folder / "latents.safetensors")
    return {"blank_share": round(float(np.mean(blank)), 6), "windows": len(numbers)}


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


def _check_trajectory(trajectory: "Trajectory", backbone: "DynamiCrafter", artifact: Artifact) -> None:
    wanted = artifact.parameters["steps"]
    if (trajectory.backbone, trajectory.steps) != (backbone.variant.name, wanted):
        raise InputError(
            f"{artifact.inputs['trajectory']}: is of the model {trajectory.backbone} with {trajectory.steps} steps; "
            f"{backbone.variant.name} with {wanted} steps is needed: make it again with this configuration"
        )


def _requests(artifact: Artifact, frames: "np.ndarray", windows: Sequence[Sequence[int]]) -> "list[ClipRequest]":
    if "image" in artifact.inputs:
        return [request_of(artifact)]
    return window_requests(artifact, frames, windows)


def _sample(
    plan: Plan, backbone: "DynamiCrafter", artifact: Artifact, window: _Window
) -> "tuple[np.ndarray, np.ndarray, Tensor]":
    """Return a window's target (F, H, W, 3) uint8, blanks (F, H, W) bool and final latents (C, F, h, w)."""
    from stereozero.baselines.warp_fill import warp_fill
    from stereozero.diffusion.sampling import reporting
    from stereozero.diffusion.schedule import ddim_schedule

    values, settings = artifact.parameters, SamplerSettings(**artifact.parameters["sampler"])
    schedule = ddim_schedule(backbone.schedule, values["steps"], spacing=values["spacing"], eta=values["eta"])
    disparity = window.disparity**settings.disparity_power  # (F, H, W)
    warped = warp_fill(window.frames, disparity, values["strength"], _HOLES, device=str(backbone.device))
    warp = _warp(backbone, window, warped, artifact, schedule)
    sampler = _sampler(plan, backbone, window, warped, warp, artifact, schedule)
    *_, latents = reporting(sampler.sample(), len(schedule) - sampler.plan.restart + 1)
    target = _finish(backbone.decode_latents(latents[None])[0], warped, settings)
    return target, warped.blank, latents.cpu().contiguous()


def _warp(
    backbone: "DynamiCrafter", window: _Window, warped: "Filled", artifact: Artifact, schedule: "DdimSchedule"
) -> "LatentWarp":
    import torch

    from stereozero.stereo.latent_warp import PixelWarp, SubcellWarp, WholeCellWarp, blank_cells, latent_disparity

    settings, strength = SamplerSettings(**artifact.parameters["sampler"]), artifact.parameters["strength"]
    clean = window.trajectory[-1].to(backbone.device)  # (C, F, h, w)
    disparity = torch.from_numpy(window.disparity).to(backbone.device)  # (F, H, W)
    cells = latent_disparity(disparity, *clean.shape[-2:], settings.disparity_power)  # (F, h, w)
    if settings.warp == "whole":
        return WholeCellWarp(cells, strength)
    if settings.warp == "subcell":
        return SubcellWarp(cells, strength, clean, schedule)
    target = backbone.encode_video(as_tensor(warped.target)[None], [window.request.seed])[0]  # (C, F, h, w)
    blank = blank_cells(torch.from_numpy(warped.blank).to(backbone.device), backbone.vae_factor)  # (F, h, w)
    prior = scaled_step(settings.hole_prior, len(schedule))
    return PixelWarp(target, blank, cells, strength, clean, schedule, prior)


def _sampler(
    plan: Plan,
    backbone: "DynamiCrafter",
    window: _Window,
    warped: "Filled",
    warp: "LatentWarp",
    artifact: Artifact,
    schedule: "DdimSchedule",
) -> "StereoSampler":
    from stereozero.stereo.noise import SeededNoise
    from stereozero.stereo.sampler import StereoSampler
    from stereozero.stereo.two_views import TwoViewDenoiser

    values, settings = artifact.parameters, SamplerSettings(**artifact.parameters["sampler"])
    condition = backbone.encode_conditioning([window.request])
    is_warped = settings.condition == "warped"
    denoiser = TwoViewDenoiser(
        backbone,
        condition,
        backbone.encode_conditioning([_warped_request(window.request, warped)]) if is_warped else condition,
        schedule,
        settings,
        guidance=values["guidance"],
        one_batch=plan.config.generator.guidance_in_one_batch,
    )
    trajectory = window.trajectory.to(backbone.device)  # (S + 1, C, F, h, w)
    noise = SeededNoise(trajectory.shape[1:], values["seed"], settings, backbone.device)
    return StereoSampler(denoiser, schedule, trajectory, warp, noise, values["strength"], settings)


def _warped_request(request: "ClipRequest", warped: "Filled") -> "ClipRequest":
    """Return a request whose pictures are the target view's: the warped clip's first frame, and last if it has one."""
    first, last = as_tensor(warped.target[[0, -1]])  # (3, H, W) each
    if request.end_image is None:
        return replace(request, image=first)
    is_loop = request.end_image is request.image
    return replace(request, image=first, end_image=first if is_loop else last)


def _finish(generated: "Tensor", warped: "Filled", settings: SamplerSettings) -> "np.ndarray":
    """Return the target's frames (F, H, W, 3) uint8 from the decoded ones (F, 3, H, W)."""
    import torch

    from stereozero.stereo.composite import composite
    from stereozero.video import to_uint8

    generated = generated.cpu()
    if settings.composite:
        generated = composite(generated, as_tensor(warped.target), torch.from_numpy(warped.blank), settings.seam)
    return to_uint8(generated.permute(0, 2, 3, 1).numpy())


def _joined(parts: "Sequence[np.ndarray]", windows: Sequence[Sequence[int]]) -> "np.ndarray":
    """Put the windows' frames in their places; a frame of two windows is the earlier one's."""
    import numpy as np

    frames = {}
    for part, numbers in zip(parts, windows, strict=True):
        for frame, number in zip(part, numbers, strict=True):
            frames.setdefault(number, frame)
    return np.stack([frames[number] for number in sorted(frames)])


STEREO = Stage(
    name="stereo",
    version=1,
    help="target views sampled with the generator (StereoCrafter-Zero)",
    variants=lambda plan: tuple(name for name, method in plan.config.methods.items() if method.kind == "ours"),
    artifacts=_artifacts,
    make=_make,
    needs_gpu=True,
)
