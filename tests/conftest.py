"""What several tests need: a small run of world clips, and videos to read."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from manifest_files import write_rows

from stereozero.images import save_png
from stereozero.plan import Plan, resolve

# One thread, set before torch is imported: more of them wait for each other when the machine does anything else.
os.environ.setdefault("OMP_NUM_THREADS", "1")

pytest_plugins = ["parity"]
REPOSITORY = Path(__file__).parents[1]


@pytest.fixture
def write_manifest(tmp_path) -> Callable[..., Path]:
    """Return a function that writes rows (dicts) as a manifest and returns its path."""

    def write(*rows: dict) -> Path:
        return write_rows(tmp_path / "clips.csv", rows)

    return write


@pytest.fixture
def world_rows() -> list[dict]:
    """Return rows of two clips of the synthetic world."""
    return [{"clip_id": f"w{seed}", "scene": "simple", "world_seed": str(seed)} for seed in (1, 2)]


@pytest.fixture
def world_config(tmp_path, write_manifest, world_rows) -> dict:
    """Return the configuration of a small run over the world clips."""
    return {
        "run": "test",
        "results": str(tmp_path / "results"),
        "manifest": str(write_manifest(*world_rows)),
        "published": str(REPOSITORY / "benchmark" / "published"),
        "video": {"height": 64, "width": 96, "frames": 4, "fps": 8},
        "depths": {"world": {"estimator": "world"}},
        "methods": {
            "ground-truth": {"kind": "ground-truth"},
            "mono-copy": {"kind": "mono-copy"},
            "warp-fill": {"kind": "warp-fill", "depth": "world", "fill": "background"},
        },
    }


@pytest.fixture
def world_plan(world_config) -> Plan:
    """Return the plan of the small run."""
    return resolve(world_config, "config.yaml")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    """Return the folder of a DynamiCrafter of named tensors: 4 frames of 32 x 48 pixels."""
    import torch
    from tiny_dynamicrafter import VARIANT, build_modules, official_tensors

    from stereozero.backbones.dynamicrafter import DynamiCrafter
    from stereozero.backbones.dynamicrafter.checkpoint import fill

    with torch.device("meta"):
        modules = build_modules()
    fill(modules, official_tensors(), Path("official"), device="cpu", dtype=torch.float32)
    folder = tmp_path_factory.mktemp("tiny-model")
    DynamiCrafter(modules, VARIANT).save_pretrained(folder)
    return folder


@pytest.fixture
def image_rows(tmp_path) -> list[dict]:
    """Return rows of three clips that start from images, one in each mode."""
    noise = np.random.default_rng(1).integers(0, 256, (2, 4, 6, 3), dtype=np.uint8)
    for name, picture in zip(("first.png", "second.png"), noise, strict=True):
        save_png(tmp_path / name, np.repeat(np.repeat(picture, 8, axis=0), 8, axis=1))
    row = {"prompt": "a red ball moves left", "image": "first.png", "mode": "plain", "end_image": ""}
    return [
        {**row, "clip_id": "plain"},
        {**row, "clip_id": "between", "mode": "interpolation", "end_image": "second.png"},
        {**row, "clip_id": "round", "mode": "loop"},
    ]


@pytest.fixture
def image_config(tmp_path, write_manifest, image_rows, tiny_model) -> dict:
    """Return the configuration of a small run over the image clips."""
    return {
        "run": "test",
        "results": str(tmp_path / "results"),
        "manifest": str(write_manifest(*image_rows)),
        "published": str(REPOSITORY / "benchmark" / "published"),
        "video": {"height": 32, "width": 48, "frames": 4, "fps": 8},
        "device": "cpu",
        "generator": {"kind": "dynamicrafter", "folder": str(tiny_model), "steps": 3},
        "methods": {"mono-copy": {"kind": "mono-copy"}},
    }


@pytest.fixture
def moving_bars() -> np.ndarray:
    """Return a textured video, uint8 (4, 64, 96, 3), that moves by one pixel a frame."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 100, 3), dtype=np.uint8)
    coarse = np.repeat(np.repeat(noise[::4, ::4], 4, axis=0), 4, axis=1)
    return np.stack([coarse[:, shift : shift + 96] for shift in range(4)])
