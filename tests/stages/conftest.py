"""A small run of the stereo sampler: the tiny model, few steps, few evaluations."""

from pathlib import Path

import numpy as np
import pytest
import torch
from manifest_files import write_rows

from stereozero.stages import model as loaded
from stereozero.video import write_lossless


@pytest.fixture
def as_in_a_new_process():
    """Afterwards no model is loaded, and torch has as many threads as before."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
    loaded._load.cache_clear()


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> Path:
    """Return where the results of the first test wait for the others; see :func:`stage_runs.run_stages_once`."""
    return tmp_path_factory.mktemp("kept") / "results"


@pytest.fixture
def quick_method() -> dict:
    """Return settings of the sampler that take few evaluations."""
    return {
        "kind": "ours",
        "depth": "world",
        "trajectory": "noised",
        "restart_iterations": 2,
        "refinement_schedule": [[34, 2]],
    }


@pytest.fixture
def stereo_config(world_config, tiny_model, quick_method) -> dict:
    """Return the configuration of a run of the sampler over the world clips, at the tiny model's size."""
    return {
        **world_config,
        "strength": 10,  # 4.8 pixels
        "video": {"height": 32, "width": 48, "frames": 4, "fps": 8},
        "device": "cpu",
        "generator": {"kind": "dynamicrafter", "folder": str(tiny_model), "steps": 3, "guidance": 2},
        "methods": {"ours": quick_method},
    }


@pytest.fixture
def given_config(stereo_config, tmp_path):
    """Return a function that makes a configuration for one finished video with a disparity of its own."""

    def configure(frames, disparity, **row) -> dict:
        write_lossless(tmp_path / "video.mkv", frames, 8)
        np.save(tmp_path / "disparity.npy", disparity)
        cells = {"clip_id": "given", "source_video": "video.mkv", "disparity": "disparity.npy", **row}
        return {
            **stereo_config,
            "manifest": str(write_rows(tmp_path / "given.csv", (cells,))),
            "depths": {"given": {"estimator": "given"}},
            "methods": {"ours": {**stereo_config["methods"]["ours"], "depth": "given"}},
        }

    return configure
