"""A short form of the experiment in faults.py, whose long form is run by hand."""

import pytest
import yaml

from .disturbances import FAULTS
from .faults import experiment

pytestmark = pytest.mark.slow

EXPECTED = {
    "full-disk": {"failed": True, "said": True, "half_written": [], "identical": True},
    "read-only": {"failed": True, "said": True, "untouched": True, "identical": True},
    "truncated": {
        "recomputed_by_its_reader": True,
        "said_in_log": True,
        "found_by_verify": True,
        "repaired": True,
        "identical": True,
    },
    "two-runs": {"refused": 1, "said": True, "identical": True},
    "two-runs-without-lock": {"half_written": [], "identical": True},
    "clock": {"finished": True, "then_nothing_to_do": True, "identical": True},
    "model-cache": {"failed": 0, "copies": 1, "identical": True},
}


def test_disturbed_runs_end_like_an_undisturbed_one(world_config, tmp_path):
    world_config |= {"metrics": ["disparity"], "delivery": {"formats": ["full-sbs"]}}
    del world_config["methods"]["ground-truth"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(world_config))
    record = experiment(tmp_path / "config.yaml", seeds=range(2), faults=FAULTS, folder=tmp_path / "runs")
    assert record["files"] > 25
    for entry in record["seeds"]:
        assert entry["identical"], entry
        assert entry["half_written_after_kill"] == [], entry
        assert entry["hidden_files_at_the_end"] == [], entry
    for entry in record["faults"]:
        assert "skipped" in entry or EXPECTED[entry["fault"]].items() <= entry.items(), entry
