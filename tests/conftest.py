"""What several tests need: a small run of world clips, and videos to read."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stereozero.plan import Plan, resolve

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture
def write_manifest(tmp_path) -> Callable[..., Path]:
    """Return a function that writes rows (dicts) as a manifest and returns its path."""

    def write(*rows: dict) -> Path:
        path = tmp_path / "clips.csv"
        columns = list(dict.fromkeys(key for row in rows for key in row))
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, columns)
            writer.writeheader()
            writer.writerows(rows)
        return path

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


@pytest.fixture
def moving_bars() -> np.ndarray:
    """Return a textured video, uint8 (4, 64, 96, 3), that moves by one pixel a frame."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 100, 3), dtype=np.uint8)
    coarse = np.repeat(np.repeat(noise[::4, ::4], 4, axis=0), 4, axis=1)
    return np.stack([coarse[:, shift : shift + 96] for shift in range(4)])
