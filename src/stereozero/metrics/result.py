"""What a metric reports: described columns, and values that JSON can hold.

Every metric, with or without a network, returns a `MetricResult` and describes its columns with `Score`s.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

Better = Literal["higher", "lower", "none"]


@dataclass(frozen=True)
class Score:
    """One column of the score tables.

    Args:
        name: The column's name, lower case with underscores, unique over all metrics.
        unit: Unit in words, for example "dB" or "percent of width".
        better: "higher", "lower", or "none" where the value describes a video and does not rank it.
        description: One or two sentences for table captions and the README.
        column: The column's name in summary tables, where the name alone does not say scale, direction, view, frames
            and crop; empty: the name.
    """

    name: str
    unit: str
    better: Better
    description: str
    column: str = ""

    @property
    def title(self) -> str:
        """The column's name in summary tables."""
        return self.column or self.name


@dataclass(frozen=True)
class MetricResult:
    """Scores of one clip. Build it with `from_values`, which turns NaN into None.

    Args:
        per_frame: Column name -> one value a frame; None where the value is undefined.
        clip: Column name -> the clip's value; None where it is undefined.
        notes: Reasons for undefined values and other remarks, each "column, column: remark".
    """

    per_frame: dict[str, list[float | None]]
    clip: dict[str, float | None]
    notes: list[str] = field(default_factory=list)

    @classmethod
    def from_values(
        cls,
        per_frame: Mapping[str, Sequence[float] | np.ndarray],
        clip: Mapping[str, float],
        notes: Iterable[str] = (),
    ) -> MetricResult:
        """Build a result from numbers in which NaN means "undefined".

        Raises:
            ValueError: A value is infinite, per-frame lists differ in length, or a clip value is undefined and no
                note says why. All three are mistakes in the metric, not in the user's videos.
        """
        notes = list(notes)
        if len({len(values) for values in per_frame.values()}) > 1:
            lengths = {name: len(values) for name, values in per_frame.items()}
            raise ValueError(f"per-frame columns differ in length: {lengths}")
        result = cls(
            {name: [_number_or_none(name, v) for v in values] for name, values in per_frame.items()},
            {name: _number_or_none(name, value) for name, value in clip.items()},
            notes,
        )
        explained = {name.strip() for text in notes for name in text.split(":", 1)[0].split(",")}
        silent = [name for name, value in result.clip.items() if value is None and name not in explained]
        if silent:
            raise ValueError(f"undefined without a reason in notes: {', '.join(silent)}")
        return result

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts and lists for `json.dump`; undefined values are null."""
        return {"per_frame": self.per_frame, "clip": self.clip, "notes": self.notes}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> MetricResult:
        """Read back what `to_json` wrote."""
        return cls(dict(data["per_frame"]), dict(data["clip"]), list(data["notes"]))


def note(columns: Iterable[str], remark: str) -> str:
    """Return a note in the form that `MetricResult` expects."""
    return f"{', '.join(columns)}: {remark}"


def undefined_notes(columns: Iterable[str], values: Sequence[float] | np.ndarray, reason: str) -> list[str]:
    """Return one note that counts the undefined frames, or nothing when every frame has a value."""
    missing = int(np.isnan(values).sum())
    return [note(columns, f"undefined in {missing} of {len(values)} frames ({reason})")] if missing else []


def mean_of_defined(values: Sequence[float] | np.ndarray) -> float:
    """Return the mean of the values that are not NaN, or NaN when there are none."""
    values = np.asarray(values, dtype=np.float64)
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else math.nan


def _number_or_none(name: str, value: float) -> float | None:
    if math.isinf(value):
        raise ValueError(f"{name} is infinite; JSON can't hold that: cap it or make it undefined")
    return None if math.isnan(value) else float(value)
