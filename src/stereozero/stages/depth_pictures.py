"""Depth pictures: for each clip, the disparities of all depth variants side by side (as the paper's Fig. 6).

Progressive variants are not shown: their levels are variants themselves.
"""

from collections.abc import Sequence
from pathlib import Path

from stereozero.artifacts import Artifact, read_record
from stereozero.depth.settings import DerivedDepth, ProgressiveDepth
from stereozero.manifest import Clip
from stereozero.plan import Plan
from stereozero.stages.stage import Stage

_PICTURE = "depths.png"


def _artifacts(plan: Plan, variant: str, clip: Clip) -> Sequence[Artifact]:
    shown = [name for name, depth in plan.config.depths.items() if not isinstance(depth, ProgressiveDepth)]
    depths = [name for name in shown if plan.supplies(name, clip)]
    if len(depths) < 2:
        return []
    inputs = {f"disparity/{name}": plan.paths.disparity(name, clip.clip_id) for name in depths}
    inputs["video"] = plan.paths.depth_video(clip)
    parameters = {"rows": [[name, depth_label(plan, name, clip)] for name in depths]}
    return [Artifact(clip.clip_id, plan.paths.depth_picture(clip.clip_id).parent, (_PICTURE,), parameters, inputs)]


def depth_label(plan: Plan, depth: str, clip: Clip) -> str:
    """Return what stands beside a variant's row: its name, and how it is dissolved."""
    is_derived = isinstance(plan.config.depths[depth], DerivedDepth)
    step = plan.dissolve_step(depth, clip) if is_derived else None
    return f"{depth} (t = {step})" if isinstance(step, int) else depth


def shown_label(label: str, disparity: Path) -> str:
    """Return a row's label with the dissolve step of an adaptive level, which only its record knows."""
    notes = (read_record(disparity.parent) or {}).get("notes", {})
    return f"{label} (t = {notes['dissolved_to'] or 'none'})" if "dissolved_to" in notes else label


def _make(plan: Plan, variant: str, clip: Clip, artifact: Artifact, folder: Path) -> None:
    from stereozero.depth.pictures import draw_disparities
    from stereozero.disparity_io import load_disparity
    from stereozero.video import read_video

    disparities = {}
    for name, label in artifact.parameters["rows"]:
        path = artifact.inputs[f"disparity/{name}"]
        disparities[shown_label(label, path)] = load_disparity(path)
    draw_disparities(folder / _PICTURE, read_video(artifact.inputs["video"]).frames, disparities)


DEPTH_PICTURES = Stage(
    name="depth-pictures",
    version=1,
    help="for clips with several depth variants, all of them in one picture",
    variants=lambda plan: ("",),
    artifacts=_artifacts,
    make=_make,
)
