"""The targets 'ablations', 'table3' and the like, and 'figure7': what they run, and what they leave to others."""

import pytest

pytestmark = pytest.mark.slow


def with_ours(world_config: dict, tiny_model) -> dict:
    ours = {"kind": "ours", "depth": "world"}
    return {
        **world_config,
        "device": "cpu",
        "video": {"height": 32, "width": 48, "frames": 4},
        "generator": {"kind": "dynamicrafter", "folder": str(tiny_model), "steps": 10, "guidance": 1.0},
        "methods": {
            "mono-copy": {"kind": "mono-copy"},
            "restart-1": {**ours, "restart_iterations": 1},
            "ours": ours,
        },
        "ablations": {"restart": ["restart-1", "ours"]},
    }


def test_the_ablations_methods_are_sampled_and_scored_and_no_others(run, world_config, tiny_model):
    outcome = run(with_ours(world_config, tiny_model), "-n", "ablations")
    assert outcome.status == 0, outcome.text
    names = set(outcome.jobs)
    assert {"stereo_restart-1", "evaluate_ours", "truth_4", "ablation_restart", "ablations"} <= names
    assert not [name for name in names if "mono-copy" in name or name.startswith(("deliver", "gallery", "tabulate"))]


def test_figure_7_needs_targets_and_no_scores(run, world_config):
    outcome = run(world_config, "-n", "figure7")
    assert outcome.status == 0, outcome.text
    assert {"world_batch", "truth_4", "baseline_warp-fill", "figure7"} <= set(outcome.jobs)
    assert not [name for name in outcome.jobs if name.startswith(("evaluate", "deliver"))]


def test_a_run_without_ablations_says_so(run, world_config):
    outcome = run(world_config, "-n", "ablations")
    assert outcome.status == 1
    assert "The config has no section 'ablations'; benchmark/ablations.yaml has one." in outcome.text


def test_a_method_that_does_not_exist_is_one_message(run, world_config):
    outcome = run({**world_config, "ablations": {"fill": ["warp-fil", "mono-copy"]}}, "-n", "ablations")
    assert outcome.status == 1
    assert "ablations.fill: there is no method 'warp-fil'; did you mean 'warp-fill'?" in outcome.text
    assert "Traceback" not in outcome.text


def test_a_depth_tables_methods_are_scored_and_no_others(run, world_config):
    depths = {**world_config["depths"], "half": {"estimator": "derived", "depth": "world", "downsample": 2}}
    methods = {**world_config["methods"], "half": {"kind": "warp-fill", "depth": "half"}}
    tables = {"table6": ["warp-fill", "half"]}
    config = {**world_config, "depths": depths, "methods": methods, "depth_tables": tables}
    outcome = run(config, "-n", "table6")
    assert outcome.status == 0, outcome.text
    names = set(outcome.jobs)
    assert {"depth_world", "derive_half", "evaluate_warp-fill", "evaluate_half", "depth_table6", "table6"} <= names
    assert not [name for name in names if "mono-copy" in name or name.startswith(("deliver", "gallery", "tabulate"))]
    other = run(config, "-n", "table4")
    assert other.status == 1
    assert "The config has no section 'depth_tables' with table4; benchmark/depth.yaml has one." in other.text
