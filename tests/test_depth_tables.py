"""Tables that compare depths: what a row's depth went through, the published numbers beside it, precision's effect."""

from pathlib import Path

import pandas as pd
import pytest
from depthcrafter_goldens import build_model

from stereozero.config import parse_config, read_yaml
from stereozero.depth_tables import FACTS, beside_published, depth_facts, precision_effects, published_rows
from stereozero.errors import InputError
from stereozero.metrics.statistics import BootstrapParameters
from stereozero.plan import Plan, resolve
from stereozero.stages.views import with_depth
from stereozero.tables import is_control

REPOSITORY = Path(__file__).parents[1]
PUBLISHED = REPOSITORY / "benchmark" / "published"
PARAMETERS = BootstrapParameters(resamples=200, seed=1)

DEPTHS = {
    "world": {"estimator": "world"},
    "pro": {"estimator": "depth-pro"},
    "crafter": {"estimator": "depthcrafter"},
    "pro-calm": {"estimator": "derived", "depth": "pro", "propagate": "paper"},
    "t20": {"estimator": "derived", "depth": "crafter", "dissolve": 20},
    "t40-quarter": {"estimator": "derived", "depth": "crafter", "dissolve": 40, "downsample": 4},
    "adaptive": {"estimator": "derived", "depth": "crafter", "dissolve": "adaptive"},
    "progressive": {"estimator": "progressive", "levels": [[0, "t40-quarter"], [15, "t20"], [30, "crafter"]]},
}


def plan_of(**changes) -> Plan:
    methods = {
        "copy": {"kind": "mono-copy"},
        "fill": {"kind": "warp-fill", "depth": "world"},
        "theirs": {"kind": "finished"},
        "truth": {"kind": "ground-truth"},
    }
    config = {"run": "r", "manifest": "m.csv", "depths": DEPTHS, "methods": methods, **changes}
    return Plan(parse_config(config, "config.yaml"), ())


@pytest.mark.parametrize(
    ("depth", "facts"),
    [
        ("world", ("world", "no", "none", "1")),
        ("pro", ("depth_pro", "no", "none", "1")),
        ("pro-calm", ("depth_pro", "yes", "none", "1")),
        ("t20", ("depthcrafter", "no", "20", "1")),
        ("t40-quarter", ("depthcrafter", "no", "40", "1/4")),
        ("adaptive", ("depthcrafter", "no", "adaptive", "1")),
        ("progressive", ("depthcrafter", "no", "40 → 20 → none", "1/4 → 1")),
    ],
)
def test_facts_say_what_a_depth_went_through(depth, facts):
    assert depth_facts(plan_of(), depth) == dict(zip(FACTS, facts, strict=True))


def published(table: str) -> pd.DataFrame:
    return published_rows(pd.read_csv(PUBLISHED / f"{table}.csv"))


def number(table: pd.DataFrame, **facts: str) -> float:
    """Return the published MEt3R of the one row with these facts."""
    for column, value in facts.items():
        table = table[table[column] == value]
    (row,) = table.to_dict("records")
    return row["published_met3r_x100"]


def test_what_the_paper_leaves_unsaid_is_filled_in():
    estimators, steps, scales = (published(table) for table in ("table3", "table4", "table6"))
    assert number(estimators, depth="depth_pro", propagated="yes", scene="all", dissolve_step="none") == 6.78
    assert number(estimators, depth="video_depth_anything", propagated="no", depth_scale="1") == 6.79
    assert number(steps, scene="simple", dissolve_step="40", depth="depthcrafter", depth_scale="1") == 7.46
    assert number(steps, scene="complex", dissolve_step="none", kind="ours") == 5.72
    assert number(scales, depth="depthcrafter", dissolve_step="30", depth_scale="1/4", scene="all") == 4.95
    assert all(not table[["scene", "kind", *FACTS]].isna().any(axis=None) for table in (estimators, steps, scales))


def measured(method: str, *facts: str, scene: str = "all", kind: str = "ours") -> dict:
    return {"method": method, "clips": 4, "scene": scene, "kind": kind, **dict(zip(FACTS, facts, strict=True))}


def test_published_numbers_stand_beside_their_rows_and_the_others_below():
    rows = [
        measured("a", "depthcrafter", "no", "20", "1/2"),
        measured("b", "world", "no", "none", "1"),
        measured("c", "depthcrafter", "no", "20", "1/2", kind="warp-fill"),
    ]
    table = beside_published(pd.DataFrame(rows), published("table6"))
    assert list(table["method"][:3]) == ["a", "b", "c"]
    assert table["published_met3r_x100"][0] == 5.91
    assert table["published_met3r_x100"][1:3].isna().all()  # another depth, and another kind of method
    below = table[3:]
    assert set(below["method"]) == {"not run here"}
    assert len(below) == len(published("table6")) - 1
    assert list(table["clips"][:4]) == [4, 4, 4, 0]


def test_scenes_have_published_numbers_of_their_own():
    rows = [measured("a", "depthcrafter", "no", "10", "1", scene=scene) for scene in ("simple", "complex")]
    table = beside_published(pd.DataFrame(rows), published("table4"))
    assert list(table["published_met3r_x100"][:2]) == [8.78, 4.65]
    assert len(table) == len(published("table4"))


def scores(values: dict[str, list[float | None]], errors: dict[str, float], score: str) -> pd.DataFrame:
    rows = [(method, str(clip), score, value) for method, row in values.items() for clip, value in enumerate(row)]
    rows += [(method, row[1], "depth_error", errors[method]) for method in values for row in rows if row[0] == method]
    return pd.DataFrame(rows, columns=["method", "clip_id", "score", "value"])


ERRORS = {"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.4}


@pytest.mark.parametrize(("score", "sign"), [("psnr", 1), ("disparity_error_mean", -1)])
def test_precise_depth_that_goes_with_good_scores_is_one(score, sign):
    values = {"a": [9, 40], "b": [8, 30], "c": [7, 20], "d": [6, 10]}
    effects = precision_effects(scores(values, ERRORS, score), (score,), PARAMETERS)
    (row,) = effects.to_dict("records")
    assert (row["score"], row["clips"]) == (score, 2)
    assert row["correlation"] == pytest.approx(sign)


def test_ranks_are_correlated_within_each_clip_and_not_over_clips():
    values = {"a": [5, 100], "b": [6, 101], "c": [7, 102], "d": [8, 50]}
    (row,) = precision_effects(scores(values, ERRORS, "psnr"), ("psnr",), PARAMETERS).to_dict("records")
    assert row["correlation"] == pytest.approx((-1 + 0.2) / 2)


def test_clips_that_can_not_say_anything_are_left_out():
    values = {"a": [1, 3, 5], "b": [2, 3, 4], "c": [None, 3, 3]}
    (row,) = precision_effects(scores(values, ERRORS, "psnr"), ("psnr",), PARAMETERS).to_dict("records")
    assert (row["clips"], row["correlation"]) == (1, pytest.approx(1))


def test_scores_that_rank_nothing_are_left_out():
    values = {"a": [1.0], "b": [2.0], "c": [3.0]}
    assert precision_effects(scores(values, ERRORS, "disparity_p99"), ("disparity_p99", "psnr"), PARAMETERS).empty


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        (["fill", "fil"], "depth_tables.table3: there is no method 'fil'; did you mean 'fill'?"),
        (["fill"], "depth_tables.table3: compares 1 methods; name at least two of the run's"),
        (["fill", "theirs"], "depth_tables.table3: method 'theirs' takes no depth; name methods that do, and controls"),
        (["copy", "truth"], "depth_tables.table3: names no method that takes a depth"),
    ],
)
def test_a_mistake_in_a_tables_methods_is_named(methods, message):
    with pytest.raises(InputError) as caught:
        plan_of(depth_tables={"table3": methods})
    assert message in str(caught.value)


def test_controls_may_stand_in_a_table():
    assert plan_of(depth_tables={"table3": ["fill", "copy"]}).config.depth_tables.table3 == ["fill", "copy"]


def test_a_table_that_does_not_exist():
    with pytest.raises(InputError, match=r"depth_tables\.table5: unknown key; did you mean 'table"):
        plan_of(depth_tables={"table5": ["fill", "copy"]})


class TestTheRepositorysTables:
    @pytest.fixture
    def plan(self, tiny_model, tmp_path, monkeypatch) -> Plan:
        """Return the plan of benchmark/depth.yaml with the tests' tiny models."""
        monkeypatch.chdir(REPOSITORY)
        build_model().save_pretrained(tmp_path / "model")
        content = read_yaml(Path("benchmark/depth.yaml"))
        content["depths"]["crafter"]["folder"] = str(tmp_path / "model")
        generator = {"kind": "dynamicrafter", "folder": str(tiny_model), "steps": 25, "guidance": 1.0}
        small = {"video": {"height": 32, "width": 48, "frames": 4}, "metrics": ["disparity"], "scoring": {}}
        return resolve({**content, "results": str(tmp_path), "generator": generator, **small}, "depth.yaml")

    @pytest.fixture
    def paper_plan(self, tmp_path, monkeypatch) -> Plan:
        """Return the plan of benchmark/paper-tables.yaml."""
        monkeypatch.chdir(REPOSITORY)
        content = read_yaml(Path("benchmark/paper-tables.yaml"))
        return resolve({**content, "results": str(tmp_path)}, "paper-tables.yaml")

    def test_every_method_runs_on_every_clip_and_is_in_a_table(self, plan, paper_plan):
        for one in (plan, paper_plan):
            assert {len(one.method_clips(name)) for name in one.config.methods} == {len(one.clips)} == {8}
            assert {name for _, methods in one.config.depth_tables for name in methods} == set(one.config.methods)
            assert sorted(clip.scene for clip in one.clips) == ["complex"] * 4 + ["simple"] * 4

    def test_the_methods_of_a_run_differ_in_their_depth_only(self, plan, paper_plan):
        for one in (plan, paper_plan):
            methods = {name: method for name, method in one.config.methods.items() if not is_control(method)}
            assert all(method.depth == name for name, method in methods.items())
            assert len({method.model_copy(update={"depth": ""}) for method in methods.values()}) == 1

    def test_every_table_has_controls(self, plan, paper_plan):
        for one, controls in ((plan, ["mono-copy", "ground-truth"]), (paper_plan, ["mono-copy"])):
            for _, methods in one.config.depth_tables:
                assert [name for name in methods if is_control(one.method(name))] == controls

    def test_every_row_of_the_papers_tables_is_made_with_its_models(self, paper_plan):
        for table, methods in paper_plan.config.depth_tables:
            scenes = ("simple", "complex") if table == "table4" else ("all",)
            rows = [
                measured(name, *depth_facts(paper_plan, paper_plan.method(name).depth).values(), scene=scene)
                for scene in scenes
                for name in with_depth(paper_plan, methods)
            ]
            beside = beside_published(pd.DataFrame(rows), published(table))
            assert len(beside) == len(rows)
            assert beside["published_met3r_x100"].notna().sum() == len(published(table))
