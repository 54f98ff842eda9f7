"""Scores of stereo videos: pure functions of 8-bit arrays, and a table of them.

`METRICS` names every metric with its columns, frozen parameters, version, and what it needs beyond source and target.
To score a clip with all that apply:

    pair = ClipPair(source, target, truth=truth)
    results = {metric.name: metric.measure(pair) for metric in applicable_metrics(pair)}

Metrics in this table need no network and never import torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from stereozero.metrics import colour, disparity, fidelity, flicker, siou, window
from stereozero.metrics.clip_pair import ClipPair
from stereozero.metrics.result import MetricResult, Score

__all__ = ["METRICS", "SCORES", "ClipPair", "Metric", "MetricResult", "Score", "applicable_metrics"]


@dataclass(frozen=True)
class Metric:
    """One metric: what it is called, what it needs, what it reports and how it is computed.

    Args:
        name: Unique name, used in file names.
        version: Changes whenever the same input would get another value.
        parameters: Frozen dataclass of the choices made.
        scores: The columns, in order.
        needs: Optional parts of the `ClipPair` that must be there: "truth", "true_disparity", "mask".
        compute: Scores a `ClipPair` with the parameters.
    """

    name: str
    version: str
    parameters: Any
    scores: tuple[Score, ...]
    needs: frozenset[str]
    compute: Callable[[ClipPair, Any], MetricResult]

    def measure(self, pair: ClipPair) -> MetricResult:
        """Score a clip.

        Raises:
            InputError: The frames are too small for this metric.
        """
        return self.compute(pair, self.parameters)

    def key(self) -> dict[str, Any]:
        """Return name, version and parameters as plain values: what a cached result depends on besides its input."""
        return {"name": self.name, "version": self.version, "parameters": asdict(self.parameters)}


_ALL = (
    Metric(
        "disparity",
        disparity.VERSION,
        disparity.DEFAULTS,
        disparity.SCORES,
        frozenset(),
        lambda pair, p: disparity.summarise_disparity(pair.match(p.matching), p),
    ),
    Metric(
        "colour",
        colour.VERSION,
        colour.DEFAULTS,
        colour.SCORES,
        frozenset(),
        lambda pair, p: colour.summarise_colour(pair.source, pair.target, pair.match(p.matching)),
    ),
    Metric(
        "flicker",
        str(flicker.VERSION),
        flicker.DEFAULTS,
        flicker.SCORES,
        frozenset(),
        lambda pair, p: flicker.measure_flicker(pair.source, pair.target, p),
    ),
    Metric(
        "window",
        window.VERSION,
        window.DEFAULTS,
        window.SCORES,
        frozenset(),
        lambda pair, p: window.summarise_window(pair.match(p.matching), pair.convergence, p),
    ),
    Metric(
        "fidelity",
        str(fidelity.VERSION),
        fidelity.DEFAULTS,
        fidelity.SCORES,
        frozenset({"truth"}),
        lambda pair, p: fidelity.measure_fidelity(pair.target, pair.truth, p),
    ),
    Metric(
        "siou",
        str(siou.VERSION),
        siou.DEFAULTS,
        siou.SCORES,
        frozenset({"truth"}),
        lambda pair, p: siou.measure_siou(pair.source, pair.target, pair.truth, p),
    ),
    Metric(
        "disparity_error",
        disparity.VERSION,
        disparity.DEFAULTS,
        disparity.ERROR_SCORES,
        frozenset({"true_disparity"}),
        lambda pair, p: disparity.summarise_disparity_error(pair.match(p.matching), pair.true_disparity, p),
    ),
    Metric(
        "fidelity_masked",
        str(fidelity.VERSION),
        fidelity.DEFAULTS,
        fidelity.MASKED_SCORES,
        frozenset({"truth", "mask"}),
        lambda pair, p: fidelity.measure_masked_fidelity(pair.target, pair.truth, pair.mask, p),
    ),
    Metric(
        "siou_masked",
        str(siou.VERSION),
        siou.DEFAULTS,
        siou.MASKED_SCORES,
        frozenset({"truth", "mask"}),
        lambda pair, p: siou.measure_masked_siou(pair.source, pair.target, pair.truth, pair.mask, p),
    ),
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}
SCORES: dict[str, Score] = {score.name: score for metric in _ALL for score in metric.scores}


def applicable_metrics(pair: ClipPair) -> list[Metric]:
    """Return the metrics whose needs the clip meets, in the table's order."""
    return [metric for metric in METRICS.values() if metric.needs <= pair.known]
