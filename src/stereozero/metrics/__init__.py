"""Scores of stereo videos: pure functions of 8-bit arrays, and a table of them.

`METRICS` names every metric with its columns, frozen parameters, version, and what it needs beyond source and target.
To score a clip with all that apply:

    pair = ClipPair(source, target, truth=truth)
    results = {metric.name: metric.measure(pair) for metric in applicable_metrics(pair)}

Some run a network, which is passed to `measure`; see `networks`. Importing this table never imports torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from stereozero.metrics import achieved, clip, colour, depth_error, disparity, fidelity, flicker, siou, window
from stereozero.metrics.clip_pair import ClipPair
from stereozero.metrics.met3r import columns as met3r_columns
from stereozero.metrics.result import MetricResult, Score

__all__ = ["DERIVED", "METRICS", "SCORES", "ClipPair", "Metric", "MetricResult", "Score", "applicable_metrics"]


@dataclass(frozen=True)
class Metric:
    """One metric: what it is called, what it needs, what it reports and how it is computed.

    Args:
        name: Unique name, used in file names.
        version: Changes whenever the same input would get another value.
        parameters: Frozen dataclass of the choices made.
        scores: The columns, in order.
        needs: Optional parts of the `ClipPair` that must be there: "truth", "true_disparity", "mask", "prompt",
            "strength".
        compute: Scores a `ClipPair` with the parameters and, if the metric runs one, the network.
        network: Key of the configuration's section `scoring` that names the network, or None.
    """

    name: str
    version: str
    parameters: Any
    scores: tuple[Score, ...]
    needs: frozenset[str]
    compute: Callable[..., MetricResult]
    network: str | None = None

    def measure(self, pair: ClipPair, network: Any = None) -> MetricResult:
        """Score a clip.

        Args:
            pair: The clip.
            network: What `networks.load_network` returned, for a metric that runs one.

        Raises:
            InputError: The frames are too small for this metric.
        """
        if self.network is None:
            return self.compute(pair, self.parameters)
        return self.compute(pair, self.parameters, network)

    def key(self) -> dict[str, Any]:
        """Return name, version and parameters as plain values: what a cached result depends on besides its input."""
        return {"name": self.name, "version": self.version, "parameters": self._plain_parameters}

    @cached_property
    def _plain_parameters(self) -> dict[str, Any]:
        return asdict(self.parameters)


def _measure_met3r(pair: ClipPair, parameters: met3r_columns.Met3rParameters, scorer: Any) -> MetricResult:
    from stereozero.metrics.met3r.video import measure_met3r

    return measure_met3r(pair, scorer, parameters)


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
        "achieved",
        achieved.VERSION,
        achieved.DEFAULTS,
        achieved.SCORES,
        frozenset({"strength"}),
        lambda pair, p: achieved.measure_achieved(pair, p),
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
    Metric(
        "clip_text",
        str(clip.VERSION),
        clip.DEFAULTS,
        clip.TEXT_SCORES,
        frozenset({"prompt"}),
        lambda pair, p, encoder: clip.measure_clip_text(pair, encoder, p),
        network="clip",
    ),
    Metric(
        "clip_frame",
        str(clip.VERSION),
        clip.DEFAULTS,
        clip.FRAME_SCORES,
        frozenset(),
        lambda pair, p, encoder: clip.measure_clip_frame(pair, encoder, p),
        network="clip",
    ),
    Metric(
        "met3r",
        str(met3r_columns.VERSION),
        met3r_columns.DEFAULTS,
        met3r_columns.SCORES,
        frozenset(),
        _measure_met3r,
        network="met3r",
    ),
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}
DERIVED = (achieved.MET3R_STEREO, depth_error.DEPTH_ERROR)
"""Scores that tables compute: of a clip from those of several metrics, and of the disparity that a method was given."""
SCORES: dict[str, Score] = {score.name: score for metric in _ALL for score in metric.scores} | {
    score.name: score for score in DERIVED
}


def applicable_metrics(pair: ClipPair) -> list[Metric]:
    """Return the metrics without network whose needs the clip meets, in the table's order."""
    return [metric for metric in METRICS.values() if metric.network is None and metric.needs <= pair.known]
