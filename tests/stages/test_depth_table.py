"""From scores, disparities and true depths to the tables that compare depths."""

import numpy as np
import pandas as pd
import pytest
from depthcrafter_goldens import build_model
from PIL import Image
from stage_runs import run_stages, run_stages_once

from stereozero.artifacts import read_record
from stereozero.depth_tables import FACTS
from stereozero.errors import InputError, StageError
from stereozero.plan import Plan, resolve
from stereozero.stages import depth_model
from stereozero.stages.depth_table import write_depth_table

CONTROLS = {"mono-copy": {"kind": "mono-copy"}, "ground-truth": {"kind": "ground-truth"}}

pytestmark = pytest.mark.usefixtures("as_in_a_new_process")


@pytest.fixture(autouse=True)
def _no_depth_network_stays_loaded():
    yield
    depth_model._load.cache_clear()


@pytest.fixture
def plan(world_config, world_rows, write_manifest, tmp_path) -> Plan:
    """Return a plan of a simple and a complex clip with five depths, one of them chosen by the clip."""
    write_manifest(*world_rows, {"clip_id": "c1", "scene": "complex", "world_seed": "1"})
    build_model().save_pretrained(tmp_path / "model")
    depths = {
        "world": {"estimator": "world"},
        "half": {"estimator": "derived", "depth": "world", "downsample": 2},
        "quarter": {"estimator": "derived", "depth": "world", "downsample": 4},
        "crafter": {"estimator": "depthcrafter", "folder": str(tmp_path / "model"), "steps": 1, "guidance": 1},
        "adaptive": {"estimator": "derived", "depth": "crafter", "dissolve": "adaptive"},
        "progressive": {"estimator": "progressive", "levels": [[0, "quarter"], [25, "half"]]},
    }
    changes = {
        "device": "cpu",
        "video": {"height": 32, "width": 48, "frames": 2},
        "depths": depths,
        "methods": {**{name: {"kind": "warp-fill", "depth": name} for name in depths}, **CONTROLS},
        "metrics": ["disparity", "fidelity"],
        "depth_tables": {"table4": list(depths), "table6": ["world", "half", "quarter", *CONTROLS]},
    }
    return resolve({**world_config, **changes}, "config.yaml")


@pytest.fixture
def run_plan(plan, kept) -> Plan:
    """Return the plan with every stage done that a table needs."""
    return run_stages_once(plan, kept, "deliver")


def test_tables_have_scores_depth_errors_published_numbers_and_an_answer(run_plan):
    write_depth_table(run_plan, "table6")
    table = pd.read_csv(run_plan.paths.depth_table("table6", ".csv"))
    ours = table[:3].set_index("method")
    assert list(ours.index) == ["world", "half", "quarter"]
    assert list(ours["depth_scale"]) == ["1", "1/2", "1/4"]
    assert list(ours["clips"]) == [3, 3, 3]
    assert ours.loc["world", "depth_error"] == pytest.approx(0, abs=1e-5)
    assert ours.loc["world", "depth_error"] < ours.loc["half", "depth_error"] < ours.loc["quarter", "depth_error"]
    assert ours.loc["half", "depth_error_low"] < ours.loc["half", "depth_error"] < ours.loc["half", "depth_error_high"]
    assert ours["published_met3r_x100"].isna().all()  # the paper has neither this depth nor this kind of method
    assert table["published_met3r_x100"].notna().sum() == 24
    text = run_plan.paths.depth_table("table6", ".md").read_text()
    assert "# Table 6, depth resolutions, run `test`" in text
    assert "| psnr ↑ | 1.00 [1.00, 1.00] | 3 |" in text.split("## Do precise depth maps matter?")[1]
    assert "| not run here | depthcrafter | no | 30 | 1/4 | 0 | 4.95 |" in text
    assert "dissolved_to" not in text


def test_controls_stand_beside_the_depths_and_have_none_themselves(run_plan):
    write_depth_table(run_plan, "table6")
    table = pd.read_csv(run_plan.paths.depth_table("table6", ".csv"))[:5].set_index("method")
    assert list(table["role"]) == ["method"] * 3 + ["control"] * 2
    assert table.loc[list(CONTROLS), [*FACTS, "depth_error", "published_met3r_x100"]].isna().all(axis=None)
    assert table.loc["mono-copy", "psnr"] < table.loc["quarter", "psnr"] < table.loc["ground-truth", "psnr"]
    text = run_plan.paths.depth_table("table6", ".md").read_text()
    assert "| mono-copy | – | – | – | – | 3 |" in text
    assert "- `mono-copy` is a control: " in text
    assert "- `ground-truth` is a control: " in text


def test_controls_have_no_say_in_whether_precise_depth_matters(run_plan):
    write_depth_table(run_plan, "table6")
    answer = _answer(run_plan.paths.depth_table("table6", ".md").read_text())
    tables = run_plan.config.depth_tables.model_copy(update={"table6": ["world", "half", "quarter"]})
    without = Plan(run_plan.config.model_copy(update={"depth_tables": tables}), run_plan.clips)
    write_depth_table(without, "table6")
    assert _answer(without.paths.depth_table("table6", ".md").read_text()) == answer


def _answer(text: str) -> str:
    return text.split("## Do precise depth maps matter?")[1].split("\n- ")[0]


def test_dissolve_steps_are_told_by_scene_and_chosen_ones_by_clip(run_plan):
    write_depth_table(run_plan, "table4")
    table = pd.read_csv(run_plan.paths.depth_table("table4", ".csv"))
    rows = table[:12].set_index(["scene", "method"])
    assert list(rows.loc["simple", "clips"]) == [2] * 6
    assert list(rows.loc["complex", "clips"]) == [1] * 6
    assert rows.loc["simple", "dissolved_to"].dropna().index.tolist() == ["adaptive"]
    notes = read_record(run_plan.paths.depth("adaptive", "c1"))["notes"]
    step = notes["dissolved_to"]
    agreement = notes["agreement"][str(step)] if step else 1
    assert rows.loc[("complex", "adaptive"), "dissolved_to"] == f"{step or 'none'} (1); agreement {agreement:.2f}"
    assert rows.loc[("simple", "progressive"), "depth_scale"] == "1/4 → 1/2"
    assert rows.loc[("simple", "progressive"), "psnr"] == rows.loc[("simple", "half"), "psnr"]
    assert list(table["published_met3r_x100"].dropna())[:2] == [8.59, 8.78]


def test_of_a_single_clip_there_is_a_mean_and_no_interval(plan):
    alone = Plan(plan.config, plan.clips[:1])
    run_stages(alone, "deliver")
    write_depth_table(alone, "table6")
    text = alone.paths.depth_table("table6", ".md").read_text()
    assert "| psnr ↑ | 1.00 | 1 |" in text


def test_the_pictures_show_the_first_clip_of_each_scene(run_plan):
    write_depth_table(run_plan, "table4")
    pictures = [run_plan.paths.depth_table("table4", f"-{clip}.png") for clip in ("w1", "c1")]
    simple, complex_ = (np.asarray(Image.open(path)) for path in pictures)
    assert simple.shape == complex_.shape  # source, and five depths: of the progressive one, its levels
    assert not np.array_equal(simple, complex_)
    assert not run_plan.paths.depth_table("table4", "-w2.png").exists()


def test_they_are_written_again_to_the_last_bit(run_plan):
    paths = [run_plan.paths.depth_table("table6", suffix) for suffix in (".csv", ".md", "-w1.png")]
    write_depth_table(run_plan, "table6")
    first = [path.read_bytes() for path in paths]
    write_depth_table(run_plan, "table6")
    assert [path.read_bytes() for path in paths] == first


def test_a_table_without_methods_and_one_without_scores_are_refused(plan):
    with pytest.raises(InputError, match=r"depth_tables\.table3: names no methods; benchmark/depth\.yaml has some"):
        write_depth_table(plan, "table3")
    with pytest.raises(StageError, match="the methods of table4 have no scores; run 'snakemake table4'"):
        write_depth_table(plan, "table4")
