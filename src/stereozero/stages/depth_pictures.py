"""Depth pictures: for each clip, the disparities of all depth variants side by side (as the paper's Fig. 6)."""

from collections.abc import Sequence
from pathlib import Path

from stereozero.artifacts import Artifact
from stereozero.depth.settings import DerivedDepth
from stereozero.manifest import Clip
from stereozero.plan import Plan
from stereozero.stages.stage import Stage

_PICTURE = "depths.png"


def _artifacts(plan: Plan, variant: str, clip: Clip) -> Sequence[Artifact]:
    depths = [name for name in plan.config.depths if plan.supplies(name, clip)]
    if len(depths) < 2:
        return []
    inputs = {f"disparity/{name}": plan.paths.disparity(name, clip.clip_id) for name in depths}
    inputs["video"] = plan.paths.depth_video(clip)
    parameters = {"rows": [[name, _label(plan, name, clip)] for name in depths]}
    return [Artifact(clip.clip_id, plan.paths.depth_picture(clip.clip_id).parent, (_PICTURE,), parameters, inputs)]


def _label(plan: Plan, depth: str, clip: Clip) -> str:
    """Return what stands beside a variant's row: its name, and how it is dissolved."""
    is_derived = isinstance(plan.config.depths[depth], DerivedDepth)
    step = plan.dissolve_step(depth, clip) if is_derived else None
    return depth if step is None else f"{depth} (t = {step})"


def _make(plan: Plan, variant: str, clip: Clip, artifact: Artifact, folder: Path) -> None:
    from stereozero.depth.pictures import draw_disparities
    from stereozero.disparity_io import load_disparity
    from stereozero.video import read_video

    rows = artifact.parameters["rows"]
    disparities = {label: load_disparity(artifact.inputs[f"disparity/{name}"]) for name, label in rows}
    draw_disparities(folder / _PICTURE, read_video(artifact.inputs["video"]).frames, disparities)


DEPTH_PICTURES = Stage(
    name="depth-pictures",
    version=1,
    help="for clips with several depth variants, all of them in one picture",
    variants=lambda plan: ("",),
    artifacts=_artifacts,
    make=_make,
)
