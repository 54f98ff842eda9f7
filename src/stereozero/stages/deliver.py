"""Deliver: both views as files for players and headsets, the disparity range put around the screen."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stereozero.artifacts import Artifact
from stereozero.manifest import Clip
from stereozero.plan import Plan
from stereozero.stages.stage import Stage

_FACTS = "delivery.json"


def _artifacts(plan: Plan, variant: str, clip: Clip) -> Sequence[Artifact]:
    if not plan.runs(variant, clip):
        return []
    from stereozero.delivery import file_name

    settings = plan.config.delivery
    files = tuple(file_name(clip.clip_id, name) for name in settings.formats)
    parameters = {**settings.model_dump(mode="json"), "target_side": plan.target_side(clip, variant)}
    inputs = {"source": plan.paths.source_video(clip), "target": plan.paths.target_video(variant, clip.clip_id)}
    return [Artifact(clip.clip_id, plan.paths.delivery(variant, clip.clip_id), (*files, _FACTS), parameters, inputs)]


def delivered_files(plan: Plan, method: str, clip: Clip) -> dict[str, Path]:
    """Return format -> delivered file of one method's result for a clip."""
    from stereozero.delivery import file_name

    folder = plan.paths.delivery(method, clip.clip_id)
    return {name: folder / file_name(clip.clip_id, name) for name in plan.config.delivery.formats}


def _make(plan: Plan, variant: str, clip: Clip, artifact: Artifact, folder: Path) -> Mapping[str, Any]:
    return {}


DELIVER = Stage(
    name="deliver",
    version=1,
    help="files for players and headsets",
    variants=lambda plan: tuple(plan.config.methods),
    artifacts=_artifacts,
    make=_make,
)
