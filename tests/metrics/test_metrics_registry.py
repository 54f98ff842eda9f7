import json
import re
import subprocess
import sys

import numpy as np
import pytest

from stereozero.config.scoring import NETWORK_METRICS
from stereozero.metrics import DERIVED, METRICS, SCORES, ClipPair, applicable_metrics

WITHOUT_NETWORK = [metric.name for metric in METRICS.values() if metric.network is None]


@pytest.fixture
def full_pair(shifted_views):
    left, right = shifted_views(64, 96, 2.4, frames=2)
    return ClipPair(
        left,
        right,
        truth=right,
        true_disparity=np.full((2, 64, 96), 2.5),
        mask=np.ones((2, 64, 96), bool),
        strength=4.0,
    )


def test_every_metric_reports_exactly_its_columns_and_fits_json(full_pair):
    assert [metric.name for metric in applicable_metrics(full_pair)] == WITHOUT_NETWORK
    for metric in applicable_metrics(full_pair):
        result = metric.measure(full_pair)
        columns = {score.name for score in metric.scores}
        assert set(result.clip) == columns, metric.name
        assert set(result.per_frame) <= columns, metric.name
        assert {len(values) for values in result.per_frame.values()} == {2}, metric.name
        json.dumps(result.to_json(), allow_nan=False)


def test_column_names_are_unique_and_described():
    assert len(SCORES) == len(DERIVED) + sum(len(metric.scores) for metric in METRICS.values())
    assert len({score.title for score in SCORES.values()}) == len(SCORES)
    for score in SCORES.values():
        assert score.name.replace("_", "").isalnum()
        assert score.better in ("higher", "lower", "none")
        assert score.unit
        assert score.description.endswith(".")


@pytest.mark.parametrize("score", [score for name in NETWORK_METRICS for score in METRICS[name].scores])
def test_scores_of_networks_say_which_view_and_which_frames_they_are_of(score):
    assert re.search("(target|source) view", score.description)
    assert "mean over all frames" in score.description


def test_only_metrics_whose_needs_are_met_apply(full_pair):
    bare = ClipPair(full_pair.source, full_pair.target)
    assert {metric.name for metric in applicable_metrics(bare)} == {"disparity", "colour", "flicker", "window"}
    with_truth = ClipPair(full_pair.source, full_pair.target, truth=full_pair.truth)
    assert {metric.name for metric in applicable_metrics(with_truth)} >= {"fidelity", "siou"}
    assert "fidelity_masked" not in {metric.name for metric in applicable_metrics(with_truth)}


def test_the_configuration_knows_which_metrics_run_which_network():
    assert {metric.name: metric.network for metric in METRICS.values() if metric.network} == NETWORK_METRICS


def test_keys_are_plain_values_and_parameters_can_be_hashed():
    for metric in METRICS.values():
        assert json.loads(json.dumps(metric.key()))["name"] == metric.name
        hash(metric.parameters)


def test_inputs_are_not_changed(full_pair):
    before = full_pair.source.copy(), full_pair.target.copy(), full_pair.true_disparity.copy()
    for metric in applicable_metrics(full_pair):
        metric.measure(full_pair)
    for saved, array in zip(before, (full_pair.source, full_pair.target, full_pair.true_disparity), strict=True):
        np.testing.assert_array_equal(saved, array)


def test_results_repeat_to_the_last_bit(full_pair):
    parts = (full_pair.truth, full_pair.true_disparity, full_pair.mask)
    again = ClipPair(full_pair.source, full_pair.target, *parts, strength=4.0)
    for metric in applicable_metrics(full_pair):
        assert metric.measure(full_pair) == metric.measure(again)


def test_importing_the_metrics_imports_neither_torch_nor_scipy_stats():
    code = "import sys, stereozero.metrics; print([m for m in ('torch', 'scipy.stats') if m in sys.modules])"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"
