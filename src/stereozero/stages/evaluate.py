"""Evaluate: score a method's target views from the 8-bit videos on disk, one JSON a metric and clip."""

import functools
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stereozero.artifacts import Artifact, write_json
from stereozero.config.scoring import NETWORK_METRICS, ClipScoring, Met3rScoring
from stereozero.device import fix_cpu_threads, resolve_device
from stereozero.manifest import Clip, ClipKind
from stereozero.plan import Plan, side_of
from stereozero.published_models import REGISTRY
from stereozero.stages.stage import Stage
from stereozero.weights import locate, needed_models, scoring_models

if TYPE_CHECKING:
    from stereozero.metrics import ClipPair, Metric, MetricResult

log = logging.getLogger(__name__)


def _artifacts(plan: Plan, variant: str, clip: Clip) -> Sequence[Artifact]:
    if not plan.runs(variant, clip):
        return []
    from stereozero.metrics import METRICS

    files, strength = _known_files(plan, variant, clip), plan.strength(clip, variant)
    known = files.keys() | {"strength"} | ({"prompt"} if clip.prompt else set())
    metrics = [METRICS[name] for name in plan.config.metrics]
    return [_artifact(plan, variant, clip, metric, files, strength) for metric in metrics if metric.needs <= known]


def _artifact(
    plan: Plan, variant: str, clip: Clip, metric: "Metric", files: Mapping[str, Path], strength: float
) -> Artifact:
    inputs = {part: files[part] for part in ("source", "target", *sorted(metric.needs)) if part in files}
    parameters = {**metric.key(), "target_side": side_of(strength)}
    if "prompt" in metric.needs and clip.prompt:
        parameters["prompt"] = clip.prompt
    if metric.network is not None:
        parameters["network"] = _network_settings(plan, metric.network)
        inputs |= _network_inputs(plan, metric.network)
    if metric.needs & {"true_disparity", "strength"}:
        parameters["strength"] = abs(strength)
    if metric.name == "window":
        parameters["behind_screen"] = plan.config.delivery.behind_screen
    folder = plan.paths.scores_folder(variant, metric.name, clip.clip_id)
    return Artifact(clip.clip_id, folder, ("scores.json",), parameters, inputs)


def _network_settings(plan: Plan, network: str) -> Mapping[str, Any]:
    from stereozero.metrics.networks import network_settings

    return network_settings(getattr(plan.config.scoring, network))


def _known_files(plan: Plan, method: str, clip: Clip) -> dict[str, Path]:
    """Return the files a metric can be computed from, under the names that metrics use for what they need."""
    files = {"source": plan.source_view(method, clip), "target": plan.paths.target_video(method, clip.clip_id)}
    strength = plan.strength(clip, method)
    is_comparable = not plan.synthesises_both(method)
    if plan.has_truth(clip) and is_comparable:
        files["truth"] = plan.paths.truth_video(clip, strength)
    if clip.kind is ClipKind.WORLD and is_comparable:
        files["true_disparity"] = plan.paths.world(clip.clip_id) / "geometry.safetensors"
        files["mask"] = plan.paths.disoccluded(clip, strength)
    if clip.kind is ClipKind.WORLD and not clip.prompt:
        files["prompt"] = plan.paths.world(clip.clip_id) / "caption.txt"
    return files


def _network_inputs(plan: Plan, network: str) -> dict[str, Path]:
    """Return name -> files that stand for a network's weights: local ones, or the records of fetched ones."""
    from stereozero.metrics.networks import network_files

    fetched = {key: plan.paths.weights(name) for key, name in scoring_models(plan.config)[network].items()}
    files = network_files(getattr(plan.config.scoring, network)) | fetched
    return {f"{network}/{part}": path for part, path in files.items()}


@dataclass(frozen=True)
class _PairFiles:
    """What a clip pair is read from; hashable, so that the metrics of a clip share one reading."""

    files: tuple[tuple[str, Path], ...]
    strength: float
    side: str
    prompt: str


def _make(plan: Plan, variant: str, clip: Clip, artifact: Artifact, folder: Path) -> Mapping[str, Any]:
    from stereozero.metrics import METRICS

    asked_for = {"source", "target"}.union(*(METRICS[name].needs for name in plan.config.metrics))
    files = tuple((part, path) for part, path in _known_files(plan, variant, clip).items() if part in asked_for)
    side = plan.target_side(clip, variant)
    pair = _read_pair(_PairFiles(files, abs(plan.strength(clip, variant)), side, clip.prompt))
    metric = METRICS[artifact.parameters["name"]]
    if metric.name == "window":
        pair = _converged(pair, plan.config.delivery.behind_screen)
    network = _load_network(plan, metric.network) if metric.network else None
    result = metric.measure(pair, network)
    _warn_of_swapped_eyes(variant, clip, result)
    about = {"metric": metric.key(), "inputs": artifact.recipe(EVALUATE.name, EVALUATE.version).inputs}
    if metric.network:
        about["network"] = artifact.parameters["network"]
        about["models"] = _fetched_models(plan, metric.network)
    write_json(folder / "scores.json", {**about, **result.to_json()})
    return {"clip": result.clip}


def _warn_of_swapped_eyes(method: str, clip: Clip, result: "MetricResult") -> None:
    from stereozero.metrics.disparity import SWAPPED_EYES

    if any(SWAPPED_EYES in remark for remark in result.notes):
        log.warning("clip '%s', method '%s': %s; docs/scoring.md says what to do", clip.clip_id, method, SWAPPED_EYES)


def _fetched_models(plan: Plan, network: str) -> Mapping[str, Any]:
    """Return what the published models are that a metric runs; local files are inputs themselves."""
    models = {}
    for key, name in scoring_models(plan.config)[network].items():
        facts = json.loads(plan.paths.weights(name).read_text(encoding="utf-8"))
        models[key] = {**facts, "origin": REGISTRY[name].origin, "revision": REGISTRY[name].revision}
    return models


def _load_network(plan: Plan, network: str) -> Any:
    """Load a metric's network for the first clip of a job; the job's other clips share it."""
    device = resolve_device(plan.config.device)
    if device == "cpu":
        fix_cpu_threads()
    cache = Path(plan.config.weights_folder) if plan.config.weights_folder else None
    needed = needed_models(plan.config)
    names = scoring_models(plan.config)[network]
    paths = {key: str(locate(REGISTRY[name], needed[name], cache)) for key, name in names.items()}
    return _loaded(getattr(plan.config.scoring, network).model_copy(update=paths), device)


@functools.lru_cache(maxsize=2)
def _loaded(settings: ClipScoring | Met3rScoring, device: str) -> Any:
    from stereozero.metrics.networks import load_network

    return load_network(settings, device)


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
        strength=source.strength,
        prompt=source.prompt or (files["prompt"].read_text(encoding="utf-8").strip() if "prompt" in files else None),
    )


def _converged(pair: "ClipPair", behind_screen: float) -> "ClipPair":
    """Return the pair with the convergence shift that delivery will give it."""
    from stereozero.delivery import convergence_shift
    from stereozero.metrics import METRICS

    achieved = METRICS["disparity"].measure(pair).clip
    return pair.at_convergence(convergence_shift(achieved, behind_screen))


EVALUATE = Stage(
    name="evaluate",
    version=2,
    help="score target views, one JSON a metric and clip",
    variants=lambda plan: tuple(plan.config.methods),
    artifacts=_artifacts,
    make=_make,
    needs_gpu=lambda plan: any(metric in NETWORK_METRICS for metric in plan.config.metrics),
)
