"""From scores and videos to an ablation's table and picture."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from stage_runs import run_stages_once

from stereozero.ablations import without_effect
from stereozero.errors import InputError, StageError
from stereozero.plan import Plan, resolve
from stereozero.stages.ablate import ablate

WARP_FILL = {"kind": "warp-fill", "depth": "world", "fill": "edge-stretch"}


@pytest.fixture
def plan(world_config) -> Plan:
    """Return a plan of two clips with an ablation of the strength."""
    changes = {
        "methods": {
            "usual": WARP_FILL,
            "mono-copy": {"kind": "mono-copy"},
            "small": {**WARP_FILL, "strength": 2},
            "again": {**WARP_FILL, "strength": 4},
        },
        "metrics": ["disparity", "fidelity", "fidelity_masked"],
        "ablations": {
            "strength": ["small", "usual"],
            "with-control": ["mono-copy", "usual"],
            "same": ["again", "small", "usual"],
        },
    }
    return resolve({**world_config, **changes}, "config.yaml")


@pytest.fixture
def run_plan(plan, kept) -> Plan:
    """Return the plan with every stage done that an ablation needs."""
    return run_stages_once(plan, kept, "deliver")


def test_the_table_has_scores_settings_and_paired_differences(run_plan):
    ablate(run_plan, "strength")
    table = pd.read_csv(run_plan.paths.ablation("strength", ".csv")).set_index("method")
    assert list(table.index) == ["small", "usual"]
    assert list(table["setting"]) == ["strength: 2", "strength: 4"]
    assert list(table["clips"]) == [2, 2]
    assert table.loc["small", "disparity_p99"] < table.loc["usual", "disparity_p99"]
    expected = table.loc["small", "psnr"] - table.loc["usual", "psnr"]
    assert table.loc["small", "difference_psnr"] == pytest.approx(expected)
    assert np.isnan(table.loc["usual", "difference_psnr"])
    text = run_plan.paths.ablation("strength", ".md").read_text()
    assert "- `small`: strength: 2" in text
    assert "## Differences from `usual`" in text
    assert "mono-copy" not in text


def test_a_control_may_be_a_row(run_plan):
    ablate(run_plan, "with-control")
    table = pd.read_csv(run_plan.paths.ablation("with-control", ".csv")).set_index("method")
    assert list(table.index) == ["mono-copy", "usual"]
    assert list(table["role"]) == ["control", "method"]
    assert table.loc["mono-copy", "difference_psnr"] < 0
    text = run_plan.paths.ablation("with-control", ".md").read_text()
    assert "- `mono-copy`: kind: mono-copy" in text
    assert "- `mono-copy` is a control: its target is the source" in text
    assert run_plan.paths.ablation("with-control", ".png").is_file()


def test_a_row_whose_videos_are_the_same_is_said_to_be(run_plan):
    ablate(run_plan, "same")
    text = run_plan.paths.ablation("same", ".md").read_text()
    assert "- `again`: every target video equals `usual`'s: what they differ in leaves no trace" in text
    assert "`small`: every target video" not in text
    (run_plan.paths.target("again", "w1") / "record.json").unlink()
    assert without_effect(run_plan, ["again", "usual"]) == []


def test_the_picture_has_frames_details_and_scores(run_plan):
    ablate(run_plan, "strength")
    picture = Image.open(run_plan.paths.ablation("strength", ".png"))
    assert picture.width == 1200  # five columns: source, two targets, two truths
    assert picture.height > 2 * 240 * 64 / 96


def test_it_is_written_again_to_the_last_bit(run_plan):
    paths = [run_plan.paths.ablation("strength", suffix) for suffix in (".csv", ".md", ".png")]
    ablate(run_plan, "strength")
    first = [path.read_bytes() for path in paths]
    ablate(run_plan, "strength")
    assert [path.read_bytes() for path in paths] == first


def test_an_unknown_ablation_and_one_without_scores_are_refused(plan):
    with pytest.raises(InputError, match=r"ablation 'strenght' is not in .*; did you mean 'strength'"):
        ablate(plan, "strenght")
    with pytest.raises(StageError, match="the methods of 'strength' have no scores; run 'snakemake ablations'"):
        ablate(plan, "strength")
