"""What the scripts in benchmark/performance derive; what they measure is not tested here."""

import importlib.util
import re
from types import ModuleType

import pytest

from .running import REPOSITORY


def script(name: str) -> ModuleType:
    """Return a script of benchmark/performance as a module."""
    path = REPOSITORY / "benchmark" / "performance" / f"{name}.py"
    specification = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_the_parts_of_a_runs_time_add_up():
    parts = script("pipeline").shares(wall=60, cores=2, work=90, jobs=10, start=1.2)
    assert parts["work_on_clips"] + parts["starting_python"] + parts["rest_and_idle"] == pytest.approx(2 * 60)
    assert parts["overhead_a_job"] == 3  # 30 s of 10 jobs
    assert parts["overhead_share"] == 0.25


def test_the_overhead_is_projected_to_the_papers_scale(tmp_path):
    pipeline = script("pipeline")
    plan = pipeline.paper_plan(40, tmp_path)
    assert len({clip.clip_id for clip in plan.clips}) == 40
    projected = pipeline.projection(plan, overhead_a_job=36)
    assert projected["overhead_hours"] == pytest.approx(projected["jobs"] / 100)
    whole = projected["overhead_hours"] + projected["estimated_work_hours"]
    assert projected["overhead_share"] == pytest.approx(projected["overhead_hours"] / whole, abs=2e-3)
    # Each clip is generated in 75 s, and sampled at least once in 340 s.
    assert projected["estimated_work_hours"] > 40 * (75 + 340) / 3600


def test_the_documentation_says_how_many_files_a_clip_leaves(tmp_path):
    planning = script("planning")
    planning.write_run(3, tmp_path)
    counted = planning.left_by_a_clip(tmp_path)
    text = (REPOSITORY / "docs" / "operations.md").read_text()
    artefacts, files = re.search(r"(\d+) artefacts[^.]*?(\d+)\s+files", text).groups()
    assert counted == {"artefacts_a_clip": int(artefacts), "files_a_clip": int(files), "folders_a_clip": int(artefacts)}
