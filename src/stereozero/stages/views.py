"""Which clips are looked at, and which of their videos side by side."""

from collections.abc import Sequence
from pathlib import Path

from stereozero.manifest import Clip
from stereozero.plan import Plan


def view_files(plan: Plan, methods: Sequence[str], clip: Clip) -> dict[str, Path]:
    """Return title -> video of a clip's source, the methods' targets, and the true targets, one for each strength.

    Methods that do not run on the clip are left out, and so are true targets that nobody knows.
    """
    present = [name for name in methods if plan.runs(name, clip)]
    files = {"source": plan.paths.source_video(clip)}
    files |= {name: plan.paths.target_video(name, clip.clip_id) for name in present}
    strengths = sorted({plan.strength(clip, name) for name in present})
    if plan.has_truth(clip):
        for strength in strengths:
            title = "truth" if len(strengths) == 1 else f"truth, {strength:g} %"
            files[title] = plan.paths.truth_video(clip, strength)
    return files


def first_of_scenes(plan: Plan, methods: Sequence[str]) -> list[Clip]:
    """Return the first clip of each scene among those that one of the methods runs on."""
    first: dict[str | None, Clip] = {}
    for clip in plan.clips:
        if any(plan.runs(method, clip) for method in methods):
            first.setdefault(clip.scene, clip)
    return list(first.values())


def with_depth(plan: Plan, methods: Sequence[str]) -> list[str]:
    """Return those of the methods that take a depth, which controls such as ``mono-copy`` do not."""
    return [name for name in methods if hasattr(plan.method(name), "depth")]
