"""Methods' settings in words: what some methods differ in, and what one of them was given."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stereozero.artifacts import read_record
from stereozero.config.methods import AnyMethod, Ours
from stereozero.manifest import Clip
from stereozero.plan import Plan
from stereozero.stereo.settings import SamplerSettings, preset


def setting_differences(plan: Plan, methods: Sequence[str]) -> dict[str, str]:
    """Return for each method the settings that are not the same in all methods.

    A key that some method changes is told for all that have it. Of presets only the name is told, not every key they
    set, and of kinds not every default. A strength or guidance that a method leaves to the run is the run's.

    Args:
        plan: the run.
        methods: names of the methods.

    Returns:
        Method -> settings as in the config, such as ``preset: paper; restart_iterations: 3``; empty without any.
    """
    values = {name: _values(plan, name) for name in methods}
    told = {key for name in methods for key in _chosen_keys(plan.method(name))}
    return {
        name: "; ".join(
            f"{key}: {_text(value)}" for key, value in own.items() if key in told and _differs(key, values.values())
        )
        for name, own in values.items()
    }


def without_effect(plan: Plan, methods: Sequence[str]) -> list[str]:
    """Return the methods whose target videos equal the last method's to the last bit, on every clip of both."""
    *others, reference = methods
    return [name for name in others if _has_equal_targets(plan, name, reference)]


def _has_equal_targets(plan: Plan, one: str, other: str) -> bool:
    clips = [clip for clip in plan.method_clips(one) if plan.runs(other, clip)]
    pairs = [[_target_checksum(plan, name, clip) for name in (one, other)] for clip in clips]
    return bool(pairs) and all(first is not None and first == second for first, second in pairs)


def _target_checksum(plan: Plan, method: str, clip: Clip) -> str | None:
    video = plan.paths.target_video(method, clip.clip_id)
    record = read_record(video.parent)
    return record["files"][video.name]["sha256"] if record else None


def chosen_settings(plan: Plan, method: str) -> str:
    """Return a method's settings that are not the defaults of its kind and preset, as in the config."""
    chosen = set(_chosen_keys(plan.method(method)))
    return "; ".join(f"{key}: {_text(value)}" for key, value in _values(plan, method).items() if key in chosen)


def _values(plan: Plan, name: str) -> dict[str, Any]:
    """Return a method's settings, kind and preset first, with what it leaves to the run filled in."""
    method = plan.method(name)
    values = {key: None for key in ("kind", "preset") if hasattr(method, key)} | method.model_dump(mode="json")
    if "strength" in values:
        clips = plan.method_clips(name) or plan.clips  # a method that was not run has none
        strengths = sorted({plan.strength(clip, name) for clip in clips})
        values["strength"] = strengths[0] if len(strengths) == 1 else strengths
    if isinstance(method, Ours):
        values["guidance"] = plan.guidance(name)
    return values


def _chosen_keys(method: AnyMethod) -> Iterator[str]:
    """Yield the keys that are not at their default, or not at what the method's preset says."""
    for key, field in type(method).model_fields.items():
        is_preset = isinstance(method, Ours) and key in SamplerSettings.model_fields
        start = getattr(preset(method.preset), key) if is_preset else field.default
        if getattr(method, key) != start:
            yield key


def _differs(key: str, settings: Sequence[Mapping[str, Any]]) -> bool:
    """True if the methods that have a key do not agree on its value."""
    return len({json.dumps(values[key]) for values in settings if key in values}) > 1


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value)
