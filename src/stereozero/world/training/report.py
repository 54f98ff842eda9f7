"""What a training leaves for people: figures as JSON, contact sheets and loss curves as pictures, and a model card."""

import csv
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from diffusers import AutoencoderKL
from matplotlib.figure import Figure

from stereozero.artifacts import atomic_path, write_json
from stereozero.backbones.dynamicrafter import DynamiCrafter
from stereozero.preview import contact_sheet
from stereozero.world import KINDS
from stereozero.world.training.data import ClipPool, to_frames, to_pixels
from stereozero.world.training.evaluation import (
    SamplingSettings,
    generator_figures,
    latents_apart,
    rendered_like,
    sample_clips,
    vae_figures,
)
from stereozero.world.training.loop import LOSSES
from stereozero.world.training.vae import reconstruct

FIGURES, SAMPLES, PICTURES, CURVES = "figures.json", "samples.png", "reconstructions.png", "losses.png"
_ROWS = 8  # clips a contact sheet
_CELL = 208  # width of a frame in a contact sheet [px]
_SMOOTH = 5  # lines of the loss table a point of the drawn curve is the mean of


def evaluate(
    backbone: DynamiCrafter, pool: ClipPool, settings: SamplingSettings, folder: Path, known: Mapping[str, Any]
) -> None:
    """Measure a generator on held-out clips; leaves figures.json and two contact sheets in a folder.

    Args:
        backbone: the generator.
        pool: held-out clips.
        settings: how many of them are generated, and how.
        folder: where the files go.
        known: what figures.json is to hold besides.
    """
    videos = sample_clips(backbone, pool, settings)
    clips = {kind: range(first, len(videos), len(KINDS)) for first, kind in enumerate(KINDS)}
    clips["turning"] = np.flatnonzero(pool.turning[: len(videos)]).tolist()  # of both kinds
    figures = {
        **known,
        "sampling": asdict(settings),
        **vae_figures(backbone.modules.vae, pool),
        "latents_apart": latents_apart(backbone.modules.vae, pool),
        "generator": {name: generator_figures(backbone, pool, videos, some) for name, some in clips.items() if some},
    }
    write_json(folder / FIGURES, figures)
    draw_reconstructions(folder / PICTURES, backbone.modules.vae, pool)
    draw_samples(folder / SAMPLES, pool, videos)


def draw_reconstructions(path: Path, vae: AutoencoderKL, pool: ClipPool) -> None:
    """Draw frames of held-out clips, and below each what the VAE makes of it."""
    firsts = to_pixels(pool.videos[:_ROWS, 0])  # (N, 3, H, W)
    rows = {"rendered": to_frames(firsts), "reconstructed": to_frames(reconstruct(vae, firsts))}
    contact_sheet(path, rows, range(_ROWS), _CELL)


def draw_samples(path: Path, pool: ClipPool, videos: np.ndarray) -> None:
    """Draw generated clips (N, F, H, W, 3), each below the rendered clip of the same scene, with its caption."""
    truth = rendered_like(pool, videos)
    rows = {}
    for index in range(min(_ROWS, len(videos))):
        rows[f"{index}: {pool.captions[index]}"] = truth[index]
        rows[f"{index}: generated"] = videos[index]
    contact_sheet(path, rows, range(videos.shape[1]), _CELL)


def draw_losses(path: Path, folders: Mapping[str, Path]) -> None:
    """Draw the loss curves of trainings, name -> folder, side by side; a training without table is left out."""
    tables = {name: read_losses(folder / LOSSES) for name, folder in folders.items() if (folder / LOSSES).is_file()}
    figure = Figure(figsize=(5.5 * max(1, len(tables)), 3.2), layout="constrained")
    for column, (name, table) in enumerate(tables.items(), 1):
        axes = figure.add_subplot(1, len(tables), column)
        steps = table.pop("step")
        table.pop("seconds")
        for label, values in table.items():
            axes.plot(_smooth(steps), _smooth(values), label=label)
        axes.set(title=name, xlabel="step", yscale="log")
        axes.grid(alpha=0.3)
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize="small")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)


def read_losses(path: Path) -> dict[str, np.ndarray]:
    """Return the columns of a loss table, each (lines,) float64."""
    with path.open(newline="") as stream:
        head, *rows = list(csv.reader(stream))
    return dict(zip(head, np.array(rows, dtype=float).reshape(-1, len(head)).T, strict=True))


def write_card(path: Path, figures: Mapping[str, Any], trainings: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the model card: what was trained how long, and what it reached on held-out clips.

    Args:
        path: README.md beside the weights.
        figures: what :func:`evaluate` left in figures.json.
        trainings: name -> "steps", "minutes", "parameters" and "settings" of each training.
    """
    lines = [
        "# The embedded generator",
        "",
        "A small model of DynamiCrafter's classes (VideoUNet, Resampler, diffusers' AutoencoderKL, open_clip's CLIP),",
        "trained on the synthetic world by `python -m stereozero.world.training`. It is a stand-in with which the",
        "whole pipeline runs on a laptop; it knows nothing but the world's shapes, and none of its results is one of",
        "the paper's. Weights are stored as float16.",
        "",
        "What it can't do: clips of other lengths or sizes; interpolation and loops (it was trained on the first frame",
        "alone); words outside of the world's vocabulary, which are all the same nothing to it. Its CLIP saw single",
        "frames only, so its text tower was trained along with the UNet, unlike DynamiCrafter's.",
        "",
        "What it learned from moves at an even pace (`stereozero.world.PACES`): the main object and the camera at one",
        "speed each, twice as fast at an fs of 8 as at 16, and nothing else. It can't be told to move them otherwise.",
        "",
        "| network | parameters | steps | minutes |",
        "|---|---|---|---|",
        *(f"| {name} | {t['parameters']:,} | {t['steps']} | {t['minutes']:.0f} |" for name, t in trainings.items()),
        "",
        *_aims(figures),
        "",
        "Turning clips are those of both kinds whose main object turns.",
        "",
        "Minutes are wall time on two shared CPU cores. A network with `grown_from` in its settings went on from the",
        "exported one with that checksum (`adopt`); its steps and minutes are those since.",
        "",
        "Figures are of held-out scenes (seeds below 1,000,000):",
        "",
        "```json",
        json.dumps(figures, indent=2),
        "```",
        "",
        "Settings:",
        "",
        "```json",
        json.dumps({name: training["settings"] for name, training in trainings.items()}, indent=2),
        "```",
        "",
    ]
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join(lines), encoding="utf-8")


def _aims(figures: Mapping[str, Any]) -> list[str]:
    """Return a table: what was aimed at, and what each group of clips reached."""
    groups, made = figures["generator"].keys(), figures["generator"].values()
    vae = figures["vae_psnr"]
    rows = {
        "VAE, PSNR 28 dB": [f"{vae[group]:.1f} dB" if group in vae else "" for group in groups],
        "first frame at most 2 dB below the VAE's": [f"{one['vae_limit'] - one['first_frame']:.1f} dB" for one in made],
        "moves as the prompt says, clearly more often than not": [
            f"{one['direction_right']} of {one['direction_counted']}" for one in made
        ],
        "colour kept to the last frame (1 is all of it)": [f"{one['colour_kept']:.2f}" for one in made],
        "shape kept to the last frame (rendered clips that went through the VAE)": [
            f"{one['shape_kept']:.2f} ({one['shape_kept_vae']:.2f})" for one in made
        ],
        "shape in the last frame that of the rendered one (rendered clips that went through the VAE)": [
            f"{one['shape_right']:.2f} ({one['shape_right_vae']:.2f})" for one in made
        ],
        "no more flicker than rendered clips (that went through the VAE)": [
            f"{one['flicker']:.1f} against {one['flicker_truth']:.1f} ({one['flicker_vae']:.1f})" for one in made
        ],
        "nothing flickers where nothing moves: share that changes by over 4 levels (of clips through the VAE)": [
            f"{one['rest']['seen']:.1%} ({one['rest_vae']['seen']:.1%})" for one in made
        ],
    }
    head = [f"| aim on held-out scenes | {' | '.join(groups)} |", "|---" * (1 + len(groups)) + "|"]
    return head + [f"| {aim} | {' | '.join(reached)} |" for aim, reached in rows.items()]


def _smooth(values: np.ndarray) -> np.ndarray:
    whole = len(values) // _SMOOTH * _SMOOTH
    return values[:whole].reshape(-1, _SMOOTH).mean(axis=1) if whole else values
