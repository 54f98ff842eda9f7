"""What an edit makes run again: for each of many edits, exactly the jobs that Snakemake would start."""

import os
import shutil
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest
import yaml
from manifest_files import write_rows

from .running import REPOSITORY, Outcome, run_snakemake

pytestmark = pytest.mark.slow

SUMMARY = {"tabulate": 1, "gallery": 1, "all": 1}
"""Jobs that show all scores and settings, and so follow every edit of them."""

# Ids that lie in batches of their own, as does w8; see Plan.batches.
ROWS = [{"clip_id": f"w{seed}", "scene": "simple", "world_seed": str(seed), "strength": ""} for seed in (1, 2, 6)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """Return the folder of a run that has ended, made by a copy of the package, which lies beside it."""
    folder = tmp_path_factory.mktemp("finished")
    shutil.copytree(REPOSITORY / "src" / "stereozero", folder / "code" / "stereozero")
    write(folder, configuration(), ROWS)
    done = run_with_copy(folder)
    assert done.status == 0, done.text
    return folder


def run_with_copy(folder: Path, *arguments: str) -> Outcome:
    """Run Snakemake with the copy of the package that lies in the folder."""
    environment = {**os.environ, "PYTHONPATH": str(folder / "code")}
    return run_snakemake(folder / "config.yaml", *arguments, environment=environment)


def configuration() -> dict:
    """Return a run with two methods, one batch a clip."""
    return {
        "run": "test",
        "published": str(REPOSITORY / "benchmark" / "published"),
        "video": {"height": 64, "width": 96, "frames": 4, "fps": 8},
        "batch_size": 1,
        "depths": {"world": {"estimator": "world"}},
        "metrics": ["disparity"],
        "delivery": {"formats": ["full-sbs"]},
        "methods": {
            "mono-copy": {"kind": "mono-copy"},
            "mirror": {"kind": "warp-fill", "depth": "world", "fill": "mirror"},
        },
    }


def at(folder: Path) -> dict:
    """Return the settings that say where a run lies."""
    return {"results": str(folder / "results"), "manifest": str(folder / "clips.csv")}


def write(folder: Path, config: dict, rows: list[dict]) -> None:
    """Write a run's config and manifest."""
    write_rows(folder / "clips.csv", rows)
    (folder / "config.yaml").write_text(yaml.safe_dump({**at(folder), **config}))


def each(*rules: str, clips: int = 3) -> dict[str, int]:
    """Return that these rules run for every clip."""
    return dict.fromkeys(rules, clips)


def method(name: str, clips: int = 3) -> dict[str, int]:
    """Return a method's jobs."""
    return each(f"baseline_{name}", f"evaluate_{name}", f"deliver_{name}", clips=clips)


def nothing(config: dict, rows: list[dict]) -> None: ...


def another_fill(config: dict, rows: list[dict]) -> None:
    config["methods"]["mirror"]["fill"] = "telea"


def another_strength(config: dict, rows: list[dict]) -> None:
    config["methods"]["mirror"]["strength"] = 8


def a_new_method(config: dict, rows: list[dict]) -> None:
    config["methods"]["telea"] = {"kind": "warp-fill", "depth": "world", "fill": "telea"}


def a_method_less(config: dict, rows: list[dict]) -> None:
    del config["methods"]["mirror"]


def another_convergence(config: dict, rows: list[dict]) -> None:
    config["delivery"]["behind_screen"] = 0.5


def another_metric(config: dict, rows: list[dict]) -> None:
    config["metrics"].append("colour")


def an_unused_seed(config: dict, rows: list[dict]) -> None:
    config["seed"] = 7


def another_device(config: dict, rows: list[dict]) -> None:
    config["device"] = "cpu"


def another_order(config: dict, rows: list[dict]) -> None:
    config["methods"] = dict(reversed(config["methods"].items()))


def a_clip_more(config: dict, rows: list[dict]) -> None:
    rows.append({"clip_id": "w8", "scene": "simple", "world_seed": "8", "strength": ""})


def a_rows_strength(config: dict, rows: list[dict]) -> None:
    rows[1]["strength"] = "2"


def another_size(config: dict, rows: list[dict]) -> None:
    config["video"]["frames"] = 6


def a_prompt(config: dict, rows: list[dict]) -> None:
    rows[0]["prompt"] = "a ball"


ALL_METHODS = {**method("mono-copy"), **method("mirror")}
SCORES = {name: count for name, count in ALL_METHODS.items() if not name.startswith("baseline")}
EDITS: list[tuple[Callable[[dict, list[dict]], None], dict[str, int]]] = [
    (nothing, {}),
    (another_order, {}),
    (another_device, {}),
    (another_fill, {**method("mirror"), **SUMMARY}),
    (another_strength, {**method("mirror"), **each("truth_8"), **SUMMARY}),
    (a_new_method, {**method("telea"), **SUMMARY}),
    (a_method_less, SUMMARY),
    (another_convergence, {**each("deliver_mono-copy", "deliver_mirror"), **SUMMARY}),
    (another_metric, {**SCORES, **SUMMARY}),
    (an_unused_seed, SUMMARY),
    (a_prompt, SUMMARY),
    (another_size, {**each("world_batch", "truth_4", "depth_world"), **ALL_METHODS, **SUMMARY}),
    (
        a_clip_more,
        dict.fromkeys(("world_batch", "truth_4", "depth_world", *ALL_METHODS), 1) | SUMMARY,
    ),
    (a_rows_strength, {"truth_2": 1, **method("mirror", clips=1), **SUMMARY}),
]


@pytest.mark.parametrize(("edit", "expected"), EDITS, ids=[edit.__name__ for edit, _ in EDITS])
def test_an_edit_reruns_what_follows_from_it_and_nothing_else(finished, edit, expected):
    config, rows = configuration(), deepcopy(ROWS)
    edit(config, rows)
    write(finished, config, rows)
    assert run_with_copy(finished, "-n").jobs == expected


def test_a_dry_run_of_an_edited_config_leaves_the_plan_alone_that_jobs_read(finished):
    plan = finished / "results" / "test" / "plan.json"
    before = plan.read_bytes()
    config = configuration()
    another_fill(config, ROWS)
    write(finished, config, ROWS)
    assert run_with_copy(finished, "-n").jobs == {**method("mirror"), **SUMMARY}
    assert plan.read_bytes() == before


def test_a_moved_results_folder_is_as_good_as_before(finished, tmp_path):
    shutil.copytree(finished / "results", tmp_path / "results")
    write(tmp_path, configuration(), ROWS)
    first = run_snakemake(tmp_path / "config.yaml", "-n")
    assert first.status == 0, first.text
    assert first.jobs == {}
    shutil.move(tmp_path / "results", tmp_path / "elsewhere")
    config = {**configuration(), "results": str(tmp_path / "elsewhere")}
    another_fill(config, ROWS)
    write(tmp_path, config, ROWS)
    assert run_snakemake(tmp_path / "config.yaml", "-n").jobs == {**method("mirror"), **SUMMARY}


def test_a_report_needs_no_network(finished):
    write(finished, configuration(), ROWS)
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    outcome = run_snakemake(
        finished / "config.yaml", "--report", "report.html", environment={**os.environ, **nowhere, "no_proxy": ""}
    )
    assert outcome.status == 0, outcome.text
    assert "table1.md" in (finished / "report.html").read_text()


def test_changed_code_reruns_its_stage_when_that_is_asked_for(finished):
    write(finished, configuration(), ROWS)
    with (finished / "code" / "stereozero" / "stages" / "deliver.py").open("a") as stage:
        stage.write("\nUNUSED = 1\n")
    triggers = ("--rerun-triggers", "code", "mtime", "params", "input")
    assert run_with_copy(finished, "-n").jobs == {}
    asked = run_with_copy(finished, *triggers)
    assert asked.status == 0, asked.text
    assert asked.jobs == {**each("deliver_mono-copy", "deliver_mirror"), "gallery": 1, "all": 1}
    logs = [path.read_text() for path in (finished / "results").glob("test/logs/deliver/*/*.log")]
    assert len(logs) == 6
    assert all("was made by other code; it is made again" in text for text in logs)
    assert run_with_copy(finished, "-n", *triggers).jobs == {}
