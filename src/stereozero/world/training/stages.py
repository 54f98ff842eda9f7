"""The parts of the generator's training, from files to files under one working folder.

``pool/`` rendered clips; ``vae/``, ``decoder/``, ``clip/``, ``unet/``: checkpoint, loss table and, when a training has
ended, the network under ``model/``; ``evaluation/``: figures and pictures.
"""

import copy
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, ModelMixin
from diffusers.utils import SAFETENSORS_WEIGHTS_NAME

from stereozero.backbones.dynamicrafter import ClipConditioner, DynamiCrafter
from stereozero.errors import InputError
from stereozero.saved_networks import read_network
from stereozero.world.training import report
from stereozero.world.training.checkpoints import Checkpoint, made_for, origin, read_checkpoint
from stereozero.world.training.clip import ClipSettings, ClipTask
from stereozero.world.training.data import ClipPool, PoolSettings, draw_frames, open_pool, step_rng
from stereozero.world.training.evaluation import SamplingSettings, retrieval
from stereozero.world.training.loop import CHECKPOINT, Training
from stereozero.world.training.unet import GeneratorParts, UNetSettings, UNetTask, gently
from stereozero.world.training.vae import DecoderSettings, DecoderTask, VaeSettings, VaeTask, finish_vae

STEPS = {"vae": 2100, "decoder": 1500, "clip": 1150, "unet": 12000}
"""Steps of each training, unless others are asked for."""

HELD_OUT = PoolSettings(clips=96, split="held-out")
_SCALE_FRAMES = 256  # frames from which the latents' scale is taken


def train_vae(work: Path, steps: int, device: str) -> None:
    """Train the VAE on single frames."""
    pool, settings = _train_pool(work), VaeSettings()
    vae = Training(VaeTask(pool, settings, vae_settings(work, settings)), settings.how, work / "vae", device).run(steps)
    finish_vae(vae, draw_frames(pool, step_rng(settings.how.seed, steps), _SCALE_FRAMES).pixels)
    vae.save_pretrained(work / "vae" / "model")


def train_decoder(work: Path, steps: int, device: str) -> None:
    """Train the VAE's decoder on, for latents as they are; the VAE must have been trained before."""
    vae, settings = read_part(AutoencoderKL, work, "vae"), DecoderSettings()
    task = DecoderTask(_train_pool(work), settings, vae, decoder_settings(work, settings))
    Training(task, settings.how, work / "decoder", device).run(steps).save_pretrained(work / "decoder" / "model")


def train_clip(work: Path, steps: int, device: str) -> None:
    """Train the text and image encoder on frames and captions."""
    pool, settings = _train_pool(work), ClipSettings()
    conditioner = Training(ClipTask(pool, settings), settings.how, work / "clip", device).run(steps)
    conditioner.save_pretrained(work / "clip" / "model")


def train_unet(work: Path, steps: int, device: str) -> None:
    """Train UNet and Resampler on clips; VAE and encoders must have been trained before."""
    vae, conditioner = read_part(AutoencoderKL, work, "vae"), read_part(ClipConditioner, work, "clip")
    pool, settings = _train_pool(work), UNetSettings()
    if adopted := origin(work / "unet"):
        settings = gently(settings, adopted["grown_from"]["sha256"])
    task = UNetTask(pool, settings, vae, conditioner, unet_settings(work, settings))
    Training(task, settings.how, work / "unet", device).run(steps)


def evaluate_generator(work: Path, sampling: SamplingSettings, device: str) -> None:
    """Measure the generator as it stands on held-out clips; leaves figures and pictures."""
    backbone, checkpoint = read_generator(work, device)
    pool, folder = open_pool(work / "pool", HELD_OUT), work / "evaluation"
    known = {"step": checkpoint.step, **_retrieved(work, pool)}
    report.evaluate(backbone, pool, sampling, folder, known)
    report.draw_losses(folder / report.CURVES, {name: work / name for name in STEPS})


def _retrieved(work: Path, pool: ClipPool) -> dict[str, float]:
    # Not of adopted encoders: their text tower was trained along with the UNet since, and fits pictures no more.
    if origin(work / "clip"):
        return {}
    return {"clip_retrieval_of_20": retrieval(read_part(ClipConditioner, work, "clip"), pool)}


def export_generator(work: Path, folder: Path) -> None:
    """Write the evaluated generator with its model card to a model folder.

    Raises:
        InputError: it was not evaluated, or trained on since.
    """
    backbone, checkpoint = read_generator(work, "cpu")
    figures = _figures(work, checkpoint)
    trainings = {
        name: {
            "parameters": sum(parameter.numel() for parameter in network.parameters()),
            "steps": state.step,
            "minutes": state.seconds / 60,
            "settings": dict(state.settings),
        }
        for name, network, state in (
            ("vae", backbone.modules.vae, read_checkpoint(work / "vae" / CHECKPOINT)),
            ("decoder", backbone.modules.vae.decoder, read_checkpoint(work / "decoder" / CHECKPOINT)),
            ("clip", backbone.modules.conditioner, read_checkpoint(work / "clip" / CHECKPOINT)),
            ("unet", torch.nn.ModuleList([backbone.modules.unet, backbone.modules.resampler]), checkpoint),
        )
    }
    halved(backbone).save_pretrained(folder)
    report.write_card(folder / "README.md", figures, trainings)


def read_generator(work: Path, device: str) -> tuple[DynamiCrafter, Checkpoint]:
    """Return the generator with the averaged weights of the UNet's checkpoint, and that; training may still go on.

    Raises:
        InputError: a training has not begun or, for VAE, decoder and encoders, not ended.
    """
    vae, conditioner = read_part(AutoencoderKL, work, "decoder"), read_part(ClipConditioner, work, "clip")
    checkpoint = read_checkpoint(work / "unet" / CHECKPOINT)
    parts = GeneratorParts(UNetSettings(), conditioner, vae.config.latent_channels)
    parts.load_state_dict(checkpoint.average)
    parts.requires_grad_(False).eval().to(device)
    return parts.backbone(vae.to(device)), checkpoint


def read_part(kind: type[ModelMixin], work: Path, name: str) -> ModelMixin:
    """Return a network that an earlier training kept, for inference.

    Raises:
        InputError: that training was not finished yet.
    """
    folder = work / name / "model"
    if not (folder / SAFETENSORS_WEIGHTS_NAME).is_file():
        raise InputError(f"{folder} is missing: run 'python -m stereozero.world.training {name}' to its end first")
    return read_network(kind, folder)


def halved(backbone: DynamiCrafter) -> DynamiCrafter:
    """Return a copy of a generator with float16 weights, half as large on disk."""
    modules = copy.deepcopy(backbone.modules)
    for module in modules.named().values():
        module.half()
    return DynamiCrafter(modules, backbone.variant)


def vae_settings(work: Path, settings: VaeSettings) -> dict[str, Any]:
    """Return what a checkpoint of the VAE must agree with: the choices and, of an adopted one, where it came from."""
    return asdict(settings) | origin(work / "vae")


def unet_settings(work: Path, settings: UNetSettings) -> dict[str, Any]:
    """Return what a checkpoint of the UNet must agree with.

    That is the choices, the VAE whose latents it was made for and, of an adopted one, where it came from.
    """
    return asdict(settings) | origin(work / "unet") | made_for(vae=work / "vae" / "model")


def decoder_settings(work: Path, settings: DecoderSettings) -> dict[str, Any]:
    """Return what a checkpoint of the decoder must agree with: the choices, and the VAE whose decoder it was."""
    return asdict(settings) | made_for(vae=work / "vae" / "model")


def _train_pool(work: Path) -> ClipPool:
    return open_pool(work / "pool", PoolSettings())


def _figures(work: Path, checkpoint: Checkpoint) -> dict:
    path = work / "evaluation" / report.FIGURES
    figures = json.loads(path.read_text()) if path.is_file() else {}
    if figures.get("step") != checkpoint.step:
        raise InputError(
            f"{path} is not of the generator at step {checkpoint.step}: "
            "run 'python -m stereozero.world.training evaluate' first"
        )
    return figures
