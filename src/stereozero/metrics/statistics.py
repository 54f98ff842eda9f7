"""Means over clips with bootstrap intervals, for the tables.

Kept apart from the metrics because scipy.stats takes long to import.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from stereozero.errors import InputError


@dataclass(frozen=True)
class BootstrapParameters:
    """Frozen choices of the intervals.

    Args:
        confidence: Probability that the interval is to cover.
        resamples: Number of bootstrap resamples of the clips.
        seed: Seed of the resampling, so that a table can be made again to the last digit.
    """

    confidence: float = 0.95
    resamples: int = 9999
    seed: int = 0


DEFAULTS = BootstrapParameters()
_ROUNDING = 1e-9  # values that differ by less, relatively, are one value


@dataclass(frozen=True)
class Estimate:
    """A mean over clips.

    Args:
        mean: The mean; None when no clip has a value.
        low: Lower end of the interval; None when there are fewer than two values.
        high: Upper end of the interval; None when there are fewer than two values.
        n: Number of clips (or pairs of clips) in the mean.
        excluded: Number of clips left out because their value is undefined or, in a paired difference, because the
            other method has no such clip.
    """

    mean: float | None
    low: float | None
    high: float | None
    n: int
    excluded: int


def estimate_mean(values: Sequence[float | None] | np.ndarray, parameters: BootstrapParameters = DEFAULTS) -> Estimate:
    """Return the mean over clips and its bias-corrected accelerated (BCa) bootstrap interval.

    Args:
        values: One value a clip; None and NaN are excluded and counted.
        parameters: Frozen choices.

    Raises:
        InputError: A value is infinite.
    """
    numbers = np.array([math.nan if value is None else value for value in values], dtype=np.float64)
    if np.isinf(numbers).any():
        raise InputError("statistics: a value is infinite, so it has no mean over clips; cap it first")
    defined = numbers[~np.isnan(numbers)]
    low, high = _interval(defined, parameters)
    mean = float(defined.mean()) if defined.size else None
    return Estimate(mean, low, high, int(defined.size), int(numbers.size - defined.size))


def estimate_difference(
    ours: Mapping[str, float | None],
    other: Mapping[str, float | None],
    parameters: BootstrapParameters = DEFAULTS,
) -> Estimate:
    """Return the mean of `ours - other` over the clips that both have, with its interval.

    Pairing removes what clips have in common (some are harder for every method), so the interval is narrower than that
    of two separate means.

    Args:
        ours: Clip id -> value.
        other: Clip id -> value.
        parameters: Frozen choices.

    Raises:
        InputError: A value is infinite.
    """
    # Sorted: the seeded resampling must not depend on the order in which clips were read.
    clips = sorted(ours.keys() | other.keys())
    pairs = [(ours.get(clip), other.get(clip)) for clip in clips]
    return estimate_mean([None if a is None or b is None else a - b for a, b in pairs], parameters)


def _interval(values: np.ndarray, parameters: BootstrapParameters) -> tuple[float | None, float | None]:
    if values.size < 2:
        return None, None
    if np.ptp(values) <= _ROUNDING * np.abs(values).max():  # BCa divides by the spread
        return float(values.min()), float(values.max())
    interval = stats.bootstrap(
        (values,),
        np.mean,
        vectorized=True,
        confidence_level=parameters.confidence,
        n_resamples=parameters.resamples,
        method="BCa",
        random_state=np.random.default_rng(parameters.seed),  # SciPy 1.15 calls it rng and takes both
    ).confidence_interval
    return float(interval.low), float(interval.high)
