"""Depth: the source view's disparity, float32 (F, H, W) in [0, 1], 1 nearest, with a colour preview.

A generated clip's disparity has all frames, also those that its images fix and that the source view lacks.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stereozero.artifacts import Artifact
from stereozero.config.depths import GivenDepth, WorldDepth
from stereozero.depth.settings import DerivedDepth, EstimatedDepth, ProgressiveDepth
from stereozero.generator import kept_frames
from stereozero.manifest import Clip
from stereozero.plan import Plan
from stereozero.stages.estimate import RAW
from stereozero.stages.stage import Stage

if TYPE_CHECKING:
    import numpy as np

DISPARITY, PREVIEW = "disparity.safetensors", "preview.mp4"


def _artifacts(plan: Plan, variant: str, clip: Clip) -> Sequence[Artifact]:
    if not plan.supplies(variant, clip):
        return []
    settings = plan.config.depths[variant]
    parameters = settings.model_dump(mode="json")
    inputs = {"source": plan.paths.depth_video(clip)}
    match settings:
        case GivenDepth():
            inputs["known"] = plan.paths.inputs(clip.clip_id) / "disparity.safetensors"
        case WorldDepth():
            inputs["known"] = plan.paths.world(clip.clip_id) / "geometry.safetensors"
        case _:
            inputs["raw"] = plan.paths.estimate(variant, clip.clip_id) / RAW
            parameters = {"estimator": settings.estimator, "percentiles": parameters["percentiles"]}
    folder = plan.paths.depth(variant, clip.clip_id)
    return [Artifact(clip.clip_id, folder, (DISPARITY, PREVIEW), parameters, inputs)]


def _make(plan: Plan, variant: str, clip: Clip, artifact: Artifact, folder: Path) -> Mapping[str, Any]:
    from stereozero.video import read_video

    settings = plan.config.depths[variant]
    known = isinstance(settings, GivenDepth | WorldDepth)
    disparity = _known(artifact, settings) if known else _estimated(artifact, settings)
    write_disparity(folder, disparity, read_video(artifact.inputs["source"]).fps, settings.estimator)
    return {"smallest": float(disparity.min()), "largest": float(disparity.max())}


def _known(artifact: Artifact, settings: GivenDepth | WorldDepth) -> "np.ndarray":
    from stereozero.disparity_io import load_disparity

    disparity = load_disparity(artifact.inputs["known"])
    is_inverted = isinstance(settings, GivenDepth) and settings.invert
    return 1 - disparity if is_inverted else disparity


def _estimated(artifact: Artifact, settings: EstimatedDepth) -> "np.ndarray":
    from stereozero.depth.convention import to_disparity
    from stereozero.depth.estimate_file import load_estimate

    return to_disparity(load_estimate(artifact.inputs["raw"]), settings.percentiles).numpy()


def write_disparity(folder: Path, disparity: "np.ndarray", fps: float, estimator: str) -> None:
    """Write a depth variant's disparity (F, H, W) with its preview into an artefact's folder."""
    from stereozero.disparity_io import save_disparity
    from stereozero.preview import colour_map_disparity
    from stereozero.video import write_mp4

    save_disparity(folder / DISPARITY, disparity, {"estimator": estimator})
    write_mp4(folder / PREVIEW, colour_map_disparity(disparity), fps)


def shown_disparity(path: Path, clip: Clip) -> "np.ndarray":
    """Read a disparity for the frames that the clip's source view shows: float32 (F, H, W)."""
    from stereozero.disparity_io import load_disparity

    disparity = load_disparity(path)
    shown = kept_frames(clip.mode, len(disparity))
    return disparity[shown.start : shown.stop]


DEPTH = Stage(
    name="depth",
    version=1,
    help="disparity of the source view, one for each depth variant that is given, rendered or estimated",
    variants=lambda plan: tuple(
        name for name, depth in plan.config.depths.items() if not isinstance(depth, DerivedDepth | ProgressiveDepth)
    ),
    artifacts=_artifacts,
    make=_make,
)
