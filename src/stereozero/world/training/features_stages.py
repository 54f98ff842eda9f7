"""The parts of the feature models' training, from files to files under one working folder.

``pool/`` rendered clips and pairs; ``features-clip/``, ``features-dino/``: checkpoint and loss table; ``evaluation/``:
figures. The clips are those that the generator is trained on: a link to its ``pool/`` saves rendering them again.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from stereozero.artifacts import atomic_path, write_json
from stereozero.backbones.dynamicrafter import ClipConditioner
from stereozero.errors import InputError
from stereozero.metrics.clip_encoder import ClipEncoder
from stereozero.metrics.met3r.features import PatchFeatures, save_to_hub_folder
from stereozero.metrics.met3r.matching import StereoMatching
from stereozero.metrics.met3r.score import Met3r
from stereozero.metrics.met3r.upsampling import Interpolation
from stereozero.metrics.met3r.video import SizeRule, VideoScorer
from stereozero.vision_transformer import VisionTransformer
from stereozero.world.training import report
from stereozero.world.training.checkpoints import Checkpoint, read_checkpoint
from stereozero.world.training.clip import build_conditioner
from stereozero.world.training.data import PoolSettings, open_pool
from stereozero.world.training.dino import DinoSettings, DinoTask, build_dino
from stereozero.world.training.features_evaluation import (
    caption_retrieval,
    damage_scores,
    held_out_pairs,
    ranking_figures,
)
from stereozero.world.training.loop import CHECKPOINT, Training
from stereozero.world.training.scoring_clip import SETTINGS as CLIP_SETTINGS
from stereozero.world.training.scoring_clip import ScoringClipTask
from stereozero.world.training.stages import HELD_OUT
from stereozero.world.training.stereo_pool import StereoPoolSettings, open_stereo_pool

CLIP, DINO = "features-clip", "features-dino"
"""The two trainings: names on the command line and of folders."""

STEPS = {CLIP: 1000, DINO: 1800}
"""Steps of each training, unless others are asked for: those of ``models/features``."""


def train_clip(work: Path, steps: int, device: str) -> None:
    """Train the CLIP that scores, on frames and captions; it shares nothing with the generator's own."""
    pool = open_pool(work / "pool", PoolSettings())
    Training(ScoringClipTask(pool, CLIP_SETTINGS), CLIP_SETTINGS.how, work / CLIP, device).run(steps)


def train_dino(work: Path, steps: int, device: str) -> None:
    """Train the image features that MEt3R compares, on pairs of views."""
    settings = DinoSettings()
    pool = open_stereo_pool(work / "pool", StereoPoolSettings())
    Training(DinoTask(pool, settings), settings.how, work / DINO, device).run(steps)


def evaluate_features(work: Path, clips: int, device: str) -> None:
    """Measure both feature models as they stand on held-out clips; leaves figures."""
    conditioner, dino, states = read_models(work)
    encoder = ClipEncoder(conditioner.model.to(device), conditioner.tokenizer)
    pool = open_pool(work / "pool", HELD_OUT)
    scores = damage_scores(scorer_of(dino, device), held_out_pairs(clips))
    figures = {
        "steps": _steps(states),
        "clips": clips,
        "caption_of_20": {how: caption_retrieval(encoder, pool, how) for how in ("crop", "squeeze")},
        "met3r": ranking_figures(scores),
    }
    write_json(work / "evaluation" / report.FIGURES, figures)
    report.draw_losses(work / "evaluation" / report.CURVES, {name: work / name for name in STEPS})


def export_features(work: Path, folder: Path) -> None:
    """Write both evaluated feature models with a model card: ``clip/`` and ``dinov2/``, a local torch.hub folder.

    Raises:
        InputError: they were not evaluated, or trained on since.
    """
    conditioner, dino, states = read_models(work)
    figures = _figures(work, states)
    conditioner.half().save_pretrained(folder / "clip")
    save_to_hub_folder(dino, folder / "dinov2")
    with atomic_path(folder / "README.md") as temporary:
        temporary.write_text("\n".join(_card({CLIP: conditioner, DINO: dino}, states, figures)), encoding="utf-8")


def read_models(work: Path) -> tuple[ClipConditioner, VisionTransformer, dict[str, Checkpoint]]:
    """Return both models with the averaged weights of their checkpoints, and those; training may still go on.

    Raises:
        InputError: a training has not begun.
    """
    states = {name: read_checkpoint(work / name / CHECKPOINT) for name in STEPS}
    conditioner, dino = build_conditioner(CLIP_SETTINGS), build_dino(DinoSettings())
    for name, network in ((CLIP, conditioner), (DINO, dino)):
        network.load_state_dict(states[name].average)
        network.requires_grad_(False).eval()
    return conditioner, dino, states


def scorer_of(dino: VisionTransformer, device: str) -> VideoScorer:
    """Return MEt3R as the embedded benchmark computes it: the pair's own disparity, bilinear features."""
    features = PatchFeatures(dino.to(device))
    score = Met3r(StereoMatching(), features, Interpolation("bilinear"))
    return VideoScorer(score, SizeRule(features.patch_size, StereoMatching.smallest_side), device=device)


def _steps(states: Mapping[str, Checkpoint]) -> dict[str, int]:
    return {name: state.step for name, state in states.items()}


def _figures(work: Path, states: Mapping[str, Checkpoint]) -> dict[str, Any]:
    path = work / "evaluation" / report.FIGURES
    figures = json.loads(path.read_text()) if path.is_file() else {}
    if figures.get("steps") != _steps(states):
        raise InputError(
            f"{path} is not of the feature models at steps {_steps(states)}: "
            "run 'python -m stereozero.world.training evaluate-features' first"
        )
    return figures


def _card(networks: Mapping[str, nn.Module], states: Mapping[str, Checkpoint], figures: dict[str, Any]) -> list[str]:
    sizes = {name: sum(parameter.numel() for parameter in network.parameters()) for name, network in networks.items()}
    return [
        "# The embedded feature models",
        "",
        "`clip/`: a small open_clip CLIP for CLIP-T and CLIP-F. `dinov2/`: a small transformer of DINOv2's layout for",
        "MEt3R, a local torch.hub folder. Both were trained on the synthetic world by",
        "`python -m stereozero.world.training`, apart from the generator and its encoder. They are stand-ins with",
        "which the whole pipeline runs on a laptop: they know nothing but the world's scenes, and their scores can't",
        "be compared with those of other models. Weights are stored as float16.",
        "",
        "| training | parameters | steps | minutes on one CPU core |",
        "|---|---|---|---|",
        *(f"| {name} | {sizes[name]:,} | {s.step} | {s.seconds / 60:.0f} |" for name, s in states.items()),
        "",
        "Figures are of held-out scenes (seeds below 1,000,000). `caption_of_20`: share of frames whose own caption",
        "fits best among 20. `met3r`: mean score and order of true right views, those moved down, blurred, of other",
        "clips, and noise.",
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
