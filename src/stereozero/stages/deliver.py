"""Deliver: both views as files for players and headsets, the disparity range put around the screen."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stereozero.artifacts import Artifact, write_json
from stereozero.manifest import Clip
from stereozero.plan import Plan
from stereozero.stages.stage import Stage

_FACTS = "delivery.json"


def _artifacts(plan: Plan, variant: str, clip: Clip) -> Sequence[Artifact]:
    if not plan.runs(variant, clip):
        return []
    from stereozero.delivery import file_name

    settings, folder = plan.config.delivery, plan.paths.delivery(variant, clip.clip_id)
    files = [file_name(clip.clip_id, name) for name in settings.formats]
    parameters = {**settings.model_dump(mode="json"), "target_side": plan.target_side(clip, variant)}
    inputs = {
        "source": plan.source_view(variant, clip),
        "target": plan.paths.target_video(variant, clip.clip_id),
        "disparity": plan.paths.scores(variant, "disparity", clip.clip_id),
    }
    return [Artifact(clip.clip_id, folder, (*files, _FACTS), parameters, inputs)]


def delivered_files(plan: Plan, method: str, clip: Clip) -> dict[str, Path]:
    """Return format -> delivered file of one method's result for a clip."""
    return _files(clip, plan.config.delivery.formats, plan.paths.delivery(method, clip.clip_id))


def _files(clip: Clip, formats: Sequence[str], folder: Path) -> dict[str, Path]:
    from stereozero.delivery import file_name

    return {name: folder / file_name(clip.clip_id, name) for name in formats}


def _make(plan: Plan, variant: str, clip: Clip, artifact: Artifact, folder: Path) -> Mapping[str, Any]:
    from stereozero.delivery import converge, convergence_shift, deliver, delivery_facts
    from stereozero.video import read_video

    source, target = (read_video(artifact.inputs[name]) for name in ("source", "target"))
    side, settings = plan.target_side(clip, variant), plan.config.delivery
    percentiles = json.loads(artifact.inputs["disparity"].read_text(encoding="utf-8"))["clip"]
    left, right = (source, target) if side == "right" else (target, source)
    views = converge(left.frames, right.frames, convergence_shift(percentiles, settings.behind_screen))
    facts = []
    for name, path in _files(clip, settings.formats, folder).items():
        deliver(path, views.left, views.right, source.fps, name)
        facts.append(delivery_facts(path, name, views, source.fps, percentiles))
    write_json(folder / _FACTS, facts)
    return {"convergence": views.shift}


DELIVER = Stage(
    name="deliver",
    version=1,
    help="files for players and headsets",
    variants=lambda plan: tuple(plan.config.methods),
    artifacts=_artifacts,
    make=_make,
)
