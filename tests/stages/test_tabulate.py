"""From scores to scores.csv, Table 1 and paired differences."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from manifest_files import write_rows
from stage_runs import run_stages

from stereozero.errors import InputError
from stereozero.plan import Plan, resolve
from stereozero.stages.evaluate import EVALUATE
from stereozero.stages.tabulate import tabulate

REPOSITORY = Path(__file__).parents[2]
WARP_FILL = {"kind": "warp-fill", "depth": "world", "fill": "edge-stretch"}
BETWEEN = "| method | clips | met3r_x100_symmetric_all_frames ↓ | met3r_stereo ↑ | disparity_kept ↑ |"


@pytest.fixture(scope="module")
def scored(tmp_path_factory) -> dict:
    """Return the configuration of a run of two clips that is scored."""
    folder = tmp_path_factory.mktemp("scored")
    rows = tuple({"clip_id": f"w{seed}", "scene": "simple", "world_seed": str(seed)} for seed in (1, 2))
    config = {
        "run": "test",
        "results": str(folder / "results"),
        "manifest": str(write_rows(folder / "clips.csv", rows)),
        "published": str(REPOSITORY / "benchmark" / "published"),
        "video": {"height": 64, "width": 96, "frames": 4, "fps": 8},
        "depths": {"world": {"estimator": "world"}},
        "methods": {
            "ground-truth": {"kind": "ground-truth"},
            "mono-copy": {"kind": "mono-copy"},
            "warp-fill": WARP_FILL,
            "shallow": {**WARP_FILL, "strength": 1},
        },
        "metrics": ["disparity", "achieved", "fidelity"],
    }
    plan = resolve(config, "config.yaml")
    run_stages(plan, "deliver", "depth-pictures")
    return config


@pytest.fixture
def plan(scored, tmp_path) -> Plan:
    """Return the plan of a copy of the run."""
    shutil.copytree(scored["results"], tmp_path / "results")
    return resolve({**scored, "results": str(tmp_path / "results")}, "config.yaml")


def with_met3r(plan: Plan, value: float | None) -> Plan:
    """Return the plan as if MEt3R had been measured, alike for all methods."""
    for method in plan.config.methods:
        for clip in plan.clips:
            path = plan.paths.scores(method, "met3r", clip.clip_id)
            path.parent.mkdir(parents=True)
            path.write_text(json.dumps({"clip": {"met3r": value}, "notes": []}))
    metrics = [*plan.config.metrics, "met3r"]
    return Plan(plan.config.model_copy(update={"metrics": metrics}), plan.clips)


def read(plan: Plan, name: str) -> pd.DataFrame:
    return pd.read_csv(plan.paths.tables / name)


def test_controls_published_rows_and_methods_are_told_apart(plan):
    tabulate(plan)
    table = read(plan, "table1.csv").set_index(["origin", "method"])
    roles = table.loc["measured", "role"].to_dict()
    assert roles == {"ground-truth": "control", "mono-copy": "control", "warp-fill": "method", "shallow": "method"}
    assert table.loc[("published", "ours"), "published_met3r_x100"] == 4.95
    assert table.loc["measured", "published_met3r_x100"].isna().all()
    text = (plan.paths.tables / "table1.md").read_text()
    assert "| ours (published) | 29.64 | 97.16 | 4.95 |" in text
    assert "`mono-copy` is a control" in text


def test_missing_stereo_shows_however_consistent_the_views_are(plan):
    tabulate(with_met3r(plan, 2.0))
    table = read(plan, "table1.csv").set_index("method")
    measured = table[table["origin"] == "measured"]
    assert (measured["met3r_x100_symmetric_all_frames"] == 2).all()
    assert measured.loc["mono-copy", "met3r_stereo"] < 2
    assert measured.loc["shallow", "met3r_stereo"] > 80  # of the 1 % that it was asked for
    assert measured.loc["warp-fill", "met3r_stereo"] == pytest.approx(
        0.98 * measured.loc["warp-fill", "disparity_kept"], rel=1e-6
    )
    assert BETWEEN in (plan.paths.tables / "table1.md").read_text()


def test_an_undefined_factor_leaves_the_scalar_undefined_with_a_reason(plan):
    tabulate(with_met3r(plan, None))
    scores = read(plan, "scores.csv").query("score == 'met3r_stereo'")
    assert scores["value"].isna().all()
    assert scores["notes"].str.contains("undefined because met3r or disparity_kept is").all()


def test_differences_are_taken_from_the_first_method_that_is_no_control_or_the_one_that_is_named(plan):
    tabulate(plan)
    first, differences = read(plan, "table1.csv").set_index("method"), read(plan, "paired.csv").set_index("method")
    assert list(differences.index) == ["ground-truth", "mono-copy", "shallow"]
    assert set(differences["minus"]) == {"warp-fill"}
    expected = first.loc["mono-copy", "psnr"] - first.loc["warp-fill", "psnr"]
    assert differences.loc["mono-copy", "psnr"] == pytest.approx(expected)
    assert differences.loc["mono-copy", "psnr_low"] <= expected <= differences.loc["mono-copy", "psnr_high"]
    tables = plan.config.tables.model_copy(update={"compare_with": "mono-copy"})
    tabulate(Plan(plan.config.model_copy(update={"tables": tables}), plan.clips))
    assert set(read(plan, "paired.csv")["minus"]) == {"mono-copy"}
    assert "# Differences from `mono-copy`" in (plan.paths.tables / "paired.md").read_text()


def test_every_score_says_what_it_was_computed_from(plan):
    content = json.loads(plan.paths.scores("warp-fill", "fidelity", "w1").read_text())
    target = plan.paths.target("warp-fill", "w1") / "record.json"
    assert content["metric"]["name"] == "fidelity"
    assert content["metric"]["version"]
    assert content["inputs"]["target"] == json.loads(target.read_text())["files"]["target.mkv"]["sha256"]
    assert content["inputs"].keys() == {"source", "target", "truth"}
    assert len(content["per_frame"]["psnr"]) == 4


def test_views_that_look_exchanged_are_named_in_table_1(plan, caplog):
    exchanged = Plan(plan.config.model_copy(update={"strength": -4.0, "metrics": ["disparity"]}), plan.clips)
    (plan.paths.target("mono-copy", "w1") / "target.mkv").write_bytes(
        (plan.paths.target("ground-truth", "w1") / "target.mkv").read_bytes()
    )
    record = plan.paths.target("mono-copy", "w1") / "record.json"
    record.write_text((plan.paths.target("ground-truth", "w1") / "record.json").read_text())
    EVALUATE.run(exchanged, "mono-copy", exchanged.clips[:1])
    remark = "nearly everything lies behind the screen, as if left and right were exchanged"
    assert f"clip 'w1', method 'mono-copy': {remark}" in caplog.text
    tabulate(exchanged)
    assert f"- `mono-copy`, w1: {remark}." in (plan.paths.tables / "table1.md").read_text()


def test_a_reference_that_is_no_method_is_refused(world_config):
    with pytest.raises(InputError, match=r"tables.compare_with: there is no method 'our'; known: ground-truth"):
        resolve({**world_config, "tables": {"compare_with": "our"}}, "config.yaml")
