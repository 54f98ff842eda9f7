import math

import numpy as np
import pytest

from stereozero.errors import InputError
from stereozero.metrics.statistics import BootstrapParameters, estimate_difference, estimate_mean


def test_mean_and_exclusion():
    estimate = estimate_mean([1.0, None, 3.0, math.nan, 5.0])
    assert estimate.mean == 3.0
    assert (estimate.n, estimate.excluded) == (3, 2)
    assert estimate.low < 3.0 < estimate.high


def test_seeded_and_independent_of_order():
    ours = {f"clip{i}": value for i, value in enumerate(np.random.RandomState(0).randn(12))}
    other = dict.fromkeys(ours, 0.0)
    backwards = dict(reversed(ours.items()))
    assert estimate_difference(ours, other) == estimate_difference(backwards, other)
    another_seed = BootstrapParameters(seed=1)
    assert estimate_difference(ours, other) != estimate_difference(ours, other, another_seed)


def test_interval_covers_the_mean_about_as_often_as_it_says():
    rng = np.random.RandomState(1)
    parameters = BootstrapParameters(resamples=499)
    covered = 0
    for _ in range(200):
        estimate = estimate_mean(rng.randn(25) + 10, parameters)
        covered += estimate.low <= 10 <= estimate.high
    assert 0.88 <= covered / 200 <= 0.99


def test_interval_is_that_of_the_normal_theory_for_many_values():
    values = np.random.RandomState(2).randn(400)
    estimate = estimate_mean(values)
    half = 1.96 * values.std(ddof=1) / 20
    assert estimate.high - estimate.low == pytest.approx(2 * half, rel=0.1)


def test_paired_difference_removes_what_clips_have_in_common():
    rng = np.random.RandomState(3)
    difficulty = rng.randn(20) * 10
    ours = {str(i): difficulty[i] + 1 + 0.1 * rng.randn() for i in range(20)}
    other = {str(i): difficulty[i] for i in range(20)}
    paired = estimate_difference(ours, other)
    alone = estimate_mean(list(ours.values()))
    assert paired.mean == pytest.approx(1, abs=0.1)
    assert paired.low > 0
    assert paired.high - paired.low < 0.05 * (alone.high - alone.low)


def test_clips_without_a_partner_are_excluded_and_counted():
    estimate = estimate_difference({"a": 1.0, "b": 2.0, "c": None, "d": 4.0}, {"b": 1.0, "c": 1.0, "d": 2.0, "e": 0.0})
    assert estimate.mean == 1.5
    assert (estimate.n, estimate.excluded) == (2, 3)


def test_degenerate_samples():
    assert (estimate_mean([2.0, 2.0, 2.0]).low, estimate_mean([2.0, 2.0, 2.0]).high) == (2.0, 2.0)
    one = estimate_mean([2.0])
    assert (one.mean, one.low, one.high, one.n) == (2.0, None, None, 1)
    nothing = estimate_mean([None])
    assert (nothing.mean, nothing.low, nothing.n, nothing.excluded) == (None, None, 0, 1)


def test_infinity_is_refused():
    with pytest.raises(InputError, match="infinite"):
        estimate_mean([1.0, math.inf])


def test_values_that_differ_by_rounding_alone_have_an_interval(recwarn):
    estimate = estimate_mean([100.0, 100.0 + 1e-12, 100.0 - 1e-12, 100.0])
    assert (estimate.low, estimate.high) == pytest.approx((100, 100))
    assert not recwarn.list
