"""Depth through Snakemake: one estimation serves all dissolve levels, with a tiny DepthCrafter of named tensors."""

import pytest
from depthcrafter_goldens import build_model

from stereozero.disparity_io import load_disparity

pytestmark = pytest.mark.slow


@pytest.fixture
def small(world_config, tmp_path) -> dict:
    """Return a run over two world clips with two dissolve levels of one estimation, and one of the true depth."""
    build_model().save_pretrained(tmp_path / "model")
    world_config["video"] |= {"height": 32, "width": 48, "frames": 2}
    world_config["depths"] |= {
        "crafter": {"estimator": "depthcrafter", "folder": "model", "steps": 1, "guidance": 1},
        "t10": {"estimator": "derived", "depth": "crafter", "dissolve": 10},
        "t40": {"estimator": "derived", "depth": "crafter", "dissolve": 40, "downsample": 2},
        "world-t10": {"estimator": "derived", "depth": "world", "dissolve": 10, "dissolver": "crafter"},
    }
    return world_config | {"device": "cpu"}


def test_levels_share_an_estimation_and_another_level_estimates_nothing_anew(run, small, tmp_path):
    first = run(small, "depth")
    assert first.status == 0, first.text
    names = {"estimate_crafter", "derive_t10", "derive_t40", "derive_world-t10", "depth_world"}
    assert names <= first.jobs.keys()
    folder = tmp_path / "results" / "test" / "depth"
    for variant in small["depths"]:
        assert load_disparity(folder / variant / "w1" / "disparity.safetensors").shape == (2, 32, 48)
    assert "Nothing to be done" in run(small, "depth").text
    small["depths"]["t10"] |= {"dissolve": 20}
    again = run(small, "depth").jobs
    # The picture of all levels shows the changed one.
    assert {name for name in again if name != "depth"} == {"derive_t10", "depth-pictures_batch"}


def test_a_missing_model_starts_nothing(run, small, tmp_path):
    small["depths"]["crafter"] |= {"folder": "nowhere"}
    outcome = run(small, "depth")
    assert outcome.status == 1
    assert "depths.crafter.folder: there is no nowhere" in outcome.text
    assert not (tmp_path / "results").exists()
