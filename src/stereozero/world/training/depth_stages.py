"""The parts of the depth model's training, from files to files under one working folder.

``depth-vae/``, ``depth/``: checkpoint, loss table and, when the VAE's training has ended, the network under ``model/``;
``evaluation/``: figures and pictures.
"""

import copy
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLTemporalDecoder

from stereozero.artifacts import atomic_path, write_json
from stereozero.depth.depthcrafter import DepthCrafter, DepthCrafterNetworks
from stereozero.depth.pictures import draw_dissolve_levels
from stereozero.errors import InputError
from stereozero.metrics.depth_error import align
from stereozero.world.training import report
from stereozero.world.training.checkpoints import Checkpoint, made_for, read_checkpoint
from stereozero.world.training.data import step_rng
from stereozero.world.training.depth import SAMPLING, DepthParts, DepthSettings, DepthTask
from stereozero.world.training.depth_data import draw_depth_clips, held_out_clips, video_of
from stereozero.world.training.depth_evaluation import depth_figures, estimate_clips
from stereozero.world.training.depth_vae import DepthVaeSettings, DepthVaeTask
from stereozero.world.training.loop import CHECKPOINT, Training
from stereozero.world.training.stages import read_part
from stereozero.world.training.vae import finish_vae

VAE, MODEL = "depth-vae", "depth"
"""The two trainings: names on the command line and of folders."""

STEPS = {VAE: 2500, MODEL: 10000}
"""Steps of each training, unless others are asked for. None has yet been taken for as many."""

_SCALE_CLIPS = 32  # clips from which the latents' scale is taken
_PICTURES = 4  # clips that are drawn


def train_depth_vae(work: Path, steps: int, device: str) -> None:
    """Train the depth model's VAE on frames and depth videos."""
    settings = DepthVaeSettings()
    vae = Training(DepthVaeTask(settings), settings.how, work / VAE, device).run(steps)
    clips = draw_depth_clips(step_rng(settings.how.seed, steps), _SCALE_CLIPS, 2, settings.simple_share)
    finish_vae(vae, clips.depth_videos().flatten(0, 1))
    vae.save_pretrained(work / VAE / "model")


def train_depth(work: Path, steps: int, device: str) -> None:
    """Train the depth model's U-Net and image encoder; its VAE must have been trained before."""
    vae, settings = read_part(AutoencoderKLTemporalDecoder, work, VAE), DepthSettings()
    task = DepthTask(settings, vae, _described(work, settings))
    Training(task, settings.how, work / MODEL, device).run(steps)


def evaluate_depth(work: Path, clips: int, device: str) -> None:
    """Measure the depth model as it stands on held-out clips; leaves figures and pictures."""
    model, checkpoint = read_depth_model(work, device)
    held_out, folder = held_out_clips(clips, SAMPLING.window), work / "evaluation"
    estimates = estimate_clips(model, held_out)
    figures = {"step": checkpoint.step, "clips": clips, "sampling": asdict(SAMPLING)}
    write_json(folder / report.FIGURES, figures | depth_figures(model, held_out, estimates))
    for index, clip in enumerate(held_out[:_PICTURES]):
        source = np.rint(video_of(clip).movedim(1, -1).numpy() * 255).astype(np.uint8)  # (F, H, W, 3)
        levels = {step: align(values[index], clip.disparity) for step, values in estimates.items()}
        draw_dissolve_levels(folder / f"{index}-{clip.scene.kind}.png", source, levels, clip.disparity)
    report.draw_losses(folder / report.CURVES, {name: work / name for name in STEPS})


def export_depth(work: Path, folder: Path) -> None:
    """Write the evaluated depth model with its model card to a model folder.

    Raises:
        InputError: it was not evaluated, or trained on since.
    """
    model, checkpoint = read_depth_model(work, "cpu")
    figures = _figures(work, checkpoint)
    halved(model).save_pretrained(folder)
    states = {VAE: read_checkpoint(work / VAE / CHECKPOINT), MODEL: checkpoint}
    with atomic_path(folder / "README.md") as temporary:
        temporary.write_text("\n".join(_card(model, figures, states)), encoding="utf-8")


def read_depth_model(work: Path, device: str) -> tuple[DepthCrafter, Checkpoint]:
    """Return the model with the averaged weights of the checkpoint, and that; training may still go on.

    Raises:
        InputError: a training has not begun or, for the VAE, not ended.
    """
    vae = read_part(AutoencoderKLTemporalDecoder, work, VAE)
    checkpoint = read_checkpoint(work / MODEL / CHECKPOINT)
    parts = DepthParts(DepthSettings(), vae.config.latent_channels)
    parts.load_state_dict(checkpoint.average)
    parts.requires_grad_(False).eval().to(device)
    return parts.model(vae.to(device)), checkpoint


def halved(model: DepthCrafter) -> DepthCrafter:
    """Return a copy of a depth model with float16 weights, half as large on disk."""
    networks = {name: copy.deepcopy(network).half() for name, network in vars(model.networks).items()}
    return DepthCrafter(DepthCrafterNetworks(**networks), model.scheduler)


def _described(work: Path, settings: DepthSettings) -> dict[str, Any]:
    """Return what a checkpoint must agree with: the choices, and the VAE whose latents it was made for."""
    return asdict(settings) | made_for(vae=work / VAE / "model")


def _figures(work: Path, checkpoint: Checkpoint) -> dict:
    path = work / "evaluation" / report.FIGURES
    figures = json.loads(path.read_text()) if path.is_file() else {}
    if figures.get("step") != checkpoint.step:
        raise InputError(
            f"{path} is not of the depth model at step {checkpoint.step}: "
            "run 'python -m stereozero.world.training evaluate-depth' first"
        )
    return figures


def _card(model: DepthCrafter, figures: dict, states: dict[str, Checkpoint]) -> list[str]:
    sizes = {name: sum(map(torch.numel, network.parameters())) for name, network in vars(model.networks).items()}
    return [
        "# The embedded depth model",
        "",
        "A small model of DepthCrafter's classes (diffusers' UNetSpatioTemporalConditionModel, with a token a frame,",
        "AutoencoderKLTemporalDecoder and EulerDiscreteScheduler; transformers' CLIPVisionModelWithProjection),",
        "trained on the synthetic world by `python -m stereozero.world.training`. It is a stand-in with which the",
        "whole pipeline runs on a laptop: it knows nothing but the world's scenes at 64 x 96 pixels, in windows of up",
        f"to {SAMPLING.window} frames, and none of its results is one of the paper's. Weights are stored as float16.",
        "",
        *(f"- {name}: {size:,} parameters" for name, size in sizes.items()),
        *(f"- {name}: {state.step} steps in {state.seconds / 60:.0f} minutes" for name, state in states.items()),
        "",
        "Figures are of held-out scenes (seeds below 1,000,000), after alignment by scale and shift:",
        "",
        "```json",
        json.dumps(figures, indent=2),
        "```",
        "",
        "Settings:",
        "",
        "```json",
        json.dumps({name: dict(state.settings) for name, state in states.items()}, indent=2),
        "```",
        "",
    ]
