"""A short form of the experiment in faults.py, whose long form is run by hand."""

import pytest
import yaml

from .faults import experiment

pytestmark = pytest.mark.slow

EXPECTED = {
    "read-only": {"failed": True, "said": True, "untouched": True, "identical": True},
    "truncated": {
        "recomputed_by_its_reader": True,
        "said_in_log": True,
        "found_by_verify": True,
        "repaired": True,
        "identical": True,
    },
    "model-cache": {"failed": 0, "copies": 1, "identical": True},
}
"""What is observed of the faults that are quickly tried."""


def test_disturbed_runs_end_like_an_undisturbed_one(world_config, tmp_path):
    world_config |= {"metrics": ["disparity"], "delivery": {"formats": ["full-sbs"]}}
    del world_config["methods"]["ground-truth"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(world_config))
    record = experiment(tmp_path / "config.yaml", seeds=range(2), faults=EXPECTED, folder=tmp_path / "runs")
    assert record["files"] > 25
    for entry in record["seeds"]:
        assert entry["identical"], entry
        assert entry["half_written_after_kill"] == [], entry
        assert entry["hidden_files_at_the_end"] == [], entry
    for entry in record["faults"]:
        assert "skipped" in entry or EXPECTED[entry["fault"]].items() <= entry.items(), entry
