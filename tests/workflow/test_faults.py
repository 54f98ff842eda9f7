"""A short form of the experiment in faults.py, whose long form is run by hand."""

import pytest
import yaml

from .faults import experiment

pytestmark = pytest.mark.slow


def test_killed_runs_end_like_an_undisturbed_one(world_config, tmp_path):
    world_config |= {"metrics": ["fidelity", "disparity"], "delivery": {"formats": ["full-sbs"]}}
    del world_config["methods"]["ground-truth"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(world_config))
    record = experiment(tmp_path / "config.yaml", seeds=2, folder=tmp_path / "runs")
    assert record["files"] > 30
    for entry in record["seeds"]:
        assert entry["identical"], entry
        assert entry["half_written_after_kill"] == [], entry
        assert entry["hidden_files_at_the_end"] == [], entry
