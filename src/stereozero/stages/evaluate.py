"""Evaluate: score a method's target views from the 8-bit videos on disk, one JSON a metric and clip."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stereozero.artifacts import Artifact, write_json
from stereozero.manifest import Clip, ClipKind
from stereozero.plan import Plan
from stereozero.stages.stage import Stage

if TYPE_CHECKING:
    from stereozero.metrics import ClipPair


def _artifacts(plan: Plan, variant: str, clip: Clip) -> Sequence[Artifact]:
    if not plan.runs(variant, clip):
        return []
    from stereozero.metrics import METRICS

    known = _known_files(plan, variant, clip)
    artifacts = []
    for name in plan.config.metrics:
        metric = METRICS[name]
        if not metric.needs <= known.keys():
            continue
        inputs = {part: known[part] for part in ("source", "target", *sorted(metric.needs))}
        parameters = {**metric.key(), "target_side": plan.target_side(clip, variant)}
        if "true_disparity" in metric.needs:
            parameters["strength"] = abs(plan.strength(clip, variant))
        if name == "window":
            parameters["behind_screen"] = plan.config.delivery.behind_screen
        folder = plan.paths.scores(variant, name, clip.clip_id).parent
        artifacts.append(Artifact(clip.clip_id, folder, ("scores.json",), parameters, inputs))
    return artifacts


def _known_files(plan: Plan, method: str, clip: Clip) -> dict[str, Path]:
    """Return the files a metric can be computed from, under the names that metrics use for what they need."""
    files = {"source": plan.paths.source_video(clip), "target": plan.paths.target_video(method, clip.clip_id)}
    strength = plan.strength(clip, method)
    if plan.has_truth(clip):
        files["truth"] = plan.paths.truth_video(clip, strength)
    if clip.kind is ClipKind.WORLD:
        files["true_disparity"] = plan.paths.world(clip.clip_id) / "geometry.safetensors"
        files["mask"] = plan.paths.disoccluded(clip, strength)
    return files


@dataclass(frozen=True)
class _PairFiles:
    """What a clip pair is read from; hashable, so that the metrics of a clip share one reading."""

    files: tuple[tuple[str, Path], ...]
    strength: float
    side: str


def _make(plan: Plan, variant: str, clip: Clip, artifact: Artifact, folder: Path) -> Mapping[str, Any]:
    from stereozero.metrics import METRICS

    files = tuple(_known_files(plan, variant, clip).items())
    pair = _read_pair(_PairFiles(files, abs(plan.strength(clip, variant)), plan.target_side(clip, variant)))
    metric = METRICS[artifact.parameters["name"]]
    if metric.name == "window":
        pair = _converged(pair, plan.config.delivery.behind_screen)
    result = metric.measure(pair)
    write_json(folder / "scores.json", {"metric": metric.key(), **result.to_json()})
    return {"clip": result.clip}


@functools.lru_cache(maxsize=1)
def _read_pair(source: _PairFiles) -> "ClipPair":
    from safetensors.numpy import load_file

    from stereozero.metrics import ClipPair
    from stereozero.video import read_mask, read_video

    files = dict(source.files)
    truth = read_video(files["truth"]).frames if "truth" in files else None
    mask = read_mask(files["mask"]) if "mask" in files else None
    disparity = load_file(files["true_disparity"])["disparity"] if "true_disparity" in files else None
    return ClipPair(
        source=read_video(files["source"]).frames,
        target=read_video(files["target"]).frames,
        truth=truth,
        true_disparity=None if disparity is None else disparity * source.strength,  # percent of width
        mask=mask,
        target_side=source.side,
    )


def _converged(pair: "ClipPair", behind_screen: float) -> "ClipPair":
    """Return the pair with the convergence shift that delivery will give it."""
    from stereozero.delivery import convergence_shift
    from stereozero.metrics import METRICS

    achieved = METRICS["disparity"].measure(pair).clip
    return pair.at_convergence(convergence_shift(achieved, behind_screen))


EVALUATE = Stage(
    name="evaluate",
    version=1,
    help="score target views, one JSON a metric and clip",
    variants=lambda plan: tuple(plan.config.methods),
    artifacts=_artifacts,
    make=_make,
)
