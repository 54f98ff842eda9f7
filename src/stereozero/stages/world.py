"""World: render clips of the synthetic world, and for each strength in use the true target view."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stereozero.artifacts import Artifact
from stereozero.manifest import Clip, ClipKind
from stereozero.paths import strength_name
from stereozero.plan import Plan
from stereozero.stages.stage import Stage

if TYPE_CHECKING:
    from stereozero.world import Clip as RenderedClip

_RENDERER_VERSION = 2  # raised when the same seed renders other pixels, or its caption has another wording


def _settings(plan: Plan, clip: Clip) -> dict[str, Any]:
    video = plan.config.video
    return {
        "scene": clip.scene,
        "world_seed": clip.world_seed,
        "frames": video.frames,
        "height": video.height,
        "width": video.width,
        "fps": video.fps,
    }


def _world_artifacts(plan: Plan, variant: str, clip: Clip) -> Sequence[Artifact]:
    if clip.kind is not ClipKind.WORLD:
        return []
    files = ("source.mkv", "geometry.safetensors", "caption.txt")
    return [Artifact(clip.clip_id, plan.paths.world(clip.clip_id), files, _settings(plan, clip), {})]


def _truth_artifacts(plan: Plan, variant: str, clip: Clip) -> Sequence[Artifact]:
    strength = _strengths_of(plan, clip).get(variant) if clip.kind is ClipKind.WORLD else None
    if strength is None:
        return []
    parameters = {**_settings(plan, clip), "strength": strength}
    return [Artifact(clip.clip_id, plan.paths.truth(clip, strength), ("target.mkv", "disoccluded.mkv"), parameters, {})]


def _strengths_of(plan: Plan, clip: Clip) -> dict[str, float]:
    """Return name -> strength of every target view of the clip that some method aims at."""
    strengths = [plan.strength(clip, method) for method in plan.config.methods if plan.runs(method, clip)]
    return {strength_name(strength): strength for strength in strengths or [plan.strength(clip)]}


def _truth_variants(plan: Plan) -> Sequence[str]:
    return sorted({name for clip in plan.clips if clip.kind is ClipKind.WORLD for name in _strengths_of(plan, clip)})


def _render(plan: Plan, clip: Clip, strength: float) -> "RenderedClip":
    """Return the rendered clip; it computes each view and map when it is asked for. Zero disparity is farthest."""
    from stereozero.world import render_clip, sample_scene

    video = plan.config.video
    scene = sample_scene(clip.scene, clip.world_seed)
    return render_clip(scene, video.frames, video.height, video.width, strength, convergence="far")


def _make_world(plan: Plan, variant: str, clip: Clip, artifact: Artifact, folder: Path) -> None:
    from safetensors.numpy import save_file

    from stereozero.video import to_uint8, write_lossless

    rendered = _render(plan, clip, plan.strength(clip))
    write_lossless(folder / "source.mkv", to_uint8(rendered.left), plan.config.video.fps)
    geometry = {"depth": rendered.depth, "disparity": rendered.disparity, "flow": rendered.flow}
    save_file(geometry, folder / "geometry.safetensors")
    (folder / "caption.txt").write_text(rendered.caption + "\n", encoding="utf-8")


def _make_truth(plan: Plan, variant: str, clip: Clip, artifact: Artifact, folder: Path) -> None:
    from stereozero.video import to_uint8, write_lossless, write_mask

    rendered = _render(plan, clip, artifact.parameters["strength"])
    write_lossless(folder / "target.mkv", to_uint8(rendered.right), plan.config.video.fps)
    write_mask(folder / "disoccluded.mkv", rendered.right_hidden, plan.config.video.fps)


WORLD = Stage(
    name="world",
    version=_RENDERER_VERSION,
    help="render source views and geometry of the synthetic world",
    variants=lambda plan: ("",),
    artifacts=_world_artifacts,
    make=_make_world,
)

TRUTH = Stage(
    name="truth",
    version=_RENDERER_VERSION,
    help="render the true target views of the synthetic world",
    variants=_truth_variants,
    artifacts=_truth_artifacts,
    make=_make_truth,
)
