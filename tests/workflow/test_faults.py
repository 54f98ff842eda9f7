"""A short form of the experiment in faults.py, whose long form is run by hand."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from manifest_files import write_rows

from . import faults
from .disturbances import FAULTS, differences
from .running import REPOSITORY


class Undisturbed(NamedTuple):
    """A run that nobody disturbed."""

    config: Path
    seconds: float
    checksums: Mapping[str, str]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Undisturbed:
    folder = tmp_path_factory.mktemp("undisturbed")
    rows = tuple({"clip_id": f"w{seed}", "scene": "simple", "world_seed": str(seed)} for seed in (1, 2))
    content = {
        "run": "test",
        "manifest": str(write_rows(folder / "clips.csv", rows)),
        "published": str(REPOSITORY / "benchmark" / "published"),
        "video": {"height": 64, "width": 96, "frames": 4, "fps": 8},
        "depths": {"world": {"estimator": "world"}},
        "methods": {"mono-copy": {"kind": "mono-copy"}, "warp-fill": {"kind": "warp-fill", "depth": "world"}},
        "metrics": ["disparity"],
        "delivery": {"formats": ["full-sbs"]},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(content))
    seconds, checksums = faults.undisturbed(folder / "config.yaml", folder / "run")
    assert len(checksums) > 25
    return Undisturbed(folder / "config.yaml", seconds, checksums)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_a_run_of_which_a_process_was_killed_ends_like_an_undisturbed_one(seed, undisturbed, tmp_path):
    entry = faults.killed(undisturbed.config, tmp_path / "run", seed, undisturbed.seconds, undisturbed.checksums)
    assert entry["not_as_expected"] == {}, entry


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["read-only", "truncated", "two-runs", "clock", "model-cache"])
def test_a_disturbed_run_says_so_and_ends_like_an_undisturbed_one(fault, undisturbed, tmp_path):
    entry = faults.tried(fault, undisturbed.config, tmp_path / "run", undisturbed.checksums)
    if "skipped" in entry:
        pytest.skip(entry["skipped"])
    assert entry["not_as_expected"] == {}, entry


def test_every_fault_says_what_must_be_observed():
    assert all("identical" in fault.expected for fault in FAULTS.values())
    assert len(FAULTS) == 7


def test_what_is_not_as_expected_is_told():
    expected = {"said": True, "half_written": [], "identical": True}
    assert differences({"said": True, "half_written": [], "identical": True, "failed": 1}, expected) == {}
    assert differences({"said": False, "half_written": ["a.mkv"]}, expected) == expected


@pytest.mark.parametrize(
    ("seed", "fault", "status"),
    [({}, {}, 0), ({"identical": True}, {}, 1), ({}, {"said": True}, 1)],
    ids=["all-as-expected", "a-kill-did-harm", "a-fault-was-not-told"],
)
def test_the_exit_status_tells_whether_all_was_as_expected(seed, fault, status, monkeypatch, capsys):
    record = {"seeds": [{"not_as_expected": seed}], "faults": [{"not_as_expected": fault}, {"skipped": "no root"}]}
    monkeypatch.setattr(faults, "experiment", lambda *arguments: record)
    monkeypatch.setattr(sys, "argv", ["faults"])
    with pytest.raises(SystemExit) as ended:
        faults.main()
    assert int(ended.value.code) == status
    assert json.loads(capsys.readouterr().out) == record
