"""Tables: every score in one tidy frame, and summaries of it with intervals over clips."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from stereozero.config.methods import CONTROLS, AnyMethod, Ours
from stereozero.metrics import SCORES
from stereozero.metrics.achieved import MET3R_STEREO, stereo_score
from stereozero.metrics.statistics import BootstrapParameters, Estimate, estimate_difference, estimate_mean
from stereozero.plan import Plan

VIEW_SCORES = (
    "clip_text",
    "clip_text_squeezed",
    "clip_text_source",
    "clip_frame",
    "clip_frame_squeezed",
    "met3r",
    "met3r_one_way",
    "met3r_stereo",
    "disparity_kept",
    "disparity_p01",
    "disparity_p99",
)
"""The paper's scores, and the disparity achieved, without which they say little."""
TRUTH_SCORES = (
    "psnr",
    "ssim",
    "ms_ssim",
    "siou",
    "psnr_masked",
    "ssim_masked",
    "siou_masked",
    "disparity_error_mean",
    "colour_matched",
    "flicker_excess",
    "window_rows",
)
"""Distance from the true view, where it is known, and what disturbs viewers."""
TABLE1_SCORES = (*VIEW_SCORES, *TRUTH_SCORES)
PUBLISHED_COLUMNS = {
    "clip_t": "published_clip_text_x100",
    "clip_f": "published_clip_frame_x100",
    "met3r": "published_met3r_x100",
}
"""The paper's scores -> columns in which they stand in our tables."""
_ARROWS = {"higher": " ↑", "lower": " ↓", "none": ""}


def bootstrap_parameters(plan: Plan) -> BootstrapParameters:
    """Return how the run's intervals are computed."""
    tables = plan.config.tables
    return BootstrapParameters(tables.confidence, tables.bootstrap_samples, plan.config.seed)


def collect_scores(plan: Plan) -> pd.DataFrame:
    """Read every score of a run.

    Returns:
        One row for each clip, method and score, in the plan's order: clip_id, scene, method, kind, strength, metric,
        score, unit, better, value (NaN where undefined), notes.
    """
    return pd.DataFrame(list(_score_rows(plan)), columns=list(_COLUMNS))


_COLUMNS = (
    "clip_id",
    "scene",
    "method",
    "kind",
    "strength",
    "metric",
    "score",
    "unit",
    "better",
    "value",
    "notes",
)


def _score_rows(plan: Plan) -> Iterable[tuple]:
    for name, method in plan.config.methods.items():
        for clip in plan.method_clips(name):
            about = (clip.clip_id, clip.scene or "", name, method.kind, plan.strength(clip, name))
            measured: dict[str, float | None] = {}
            for metric in plan.config.metrics:
                path = plan.paths.scores(name, metric, clip.clip_id)
                if path.is_file():
                    content = json.loads(path.read_text(encoding="utf-8"))
                    measured |= content["clip"]
                    yield from _metric_rows(about, metric, content)
            yield from _derived_rows(about, measured)


def _metric_rows(about: tuple, metric: str, content: Mapping[str, Any]) -> Iterable[tuple]:
    for score, value in content["clip"].items():
        remarks = [text for text in content["notes"] if score in _named(text)]
        yield (*about, metric, score, SCORES[score].unit, SCORES[score].better, value, "; ".join(remarks))


def _derived_rows(about: tuple, measured: Mapping[str, float | None]) -> Iterable[tuple]:
    """Yield scores that follow from those of several metrics, where all of these were measured."""
    if {"met3r", "disparity_kept"} <= measured.keys():
        value = stereo_score(measured["met3r"], measured["disparity_kept"])
        remark = "met3r_stereo: undefined because met3r or disparity_kept is" if value is None else ""
        yield (*about, "derived", MET3R_STEREO.name, MET3R_STEREO.unit, MET3R_STEREO.better, value, remark)


def _named(remark: str) -> set[str]:
    return {name.strip() for name in remark.split(":", 1)[0].split(",")}


def summarise(scores: pd.DataFrame, columns: Sequence[str], parameters: BootstrapParameters) -> pd.DataFrame:
    """Return the mean of each score over clips, a row a method, with bootstrap intervals.

    Args:
        scores: as :func:`collect_scores` returns it.
        columns: names of the scores to show; those that no clip has are left out.
        parameters: of the bootstrap.

    Returns:
        method, clips, and for each score its mean, ``<score>_low``, ``<score>_high`` and ``<score>_clips`` (the number
        of clips with a value).
    """
    present = [name for name in columns if name in set(scores["score"])]
    rows = []
    for method, of_method in scores.groupby("method", sort=False):
        row: dict[str, object] = {"method": method, "clips": of_method["clip_id"].nunique()}
        for name in present:
            estimate = estimate_mean(of_method.loc[of_method["score"] == name, "value"].tolist(), parameters)
            row |= _estimate_columns(name, estimate)
        rows.append(row)
    return pd.DataFrame(rows)


def paired_differences(
    scores: pd.DataFrame, columns: Sequence[str], reference: str, parameters: BootstrapParameters
) -> pd.DataFrame:
    """Return the mean of each score's difference from one method's on the same clips, with bootstrap intervals.

    Args:
        scores: as :func:`collect_scores` returns it.
        columns: names of the scores to show; those that no clip has are left out.
        reference: name of the method whose scores are subtracted.
        parameters: of the bootstrap.

    Returns:
        A row a method, but for the reference, with the columns of :func:`summarise`.
    """
    present = [name for name in columns if name in set(scores["score"])]
    subtracted = scores[scores["method"] == reference]
    rows = []
    for method, of_method in scores[scores["method"] != reference].groupby("method", sort=False):
        row: dict[str, object] = {"method": method, "clips": of_method["clip_id"].nunique()}
        for name in present:
            ours, other = _values_by_clip(of_method, name), _values_by_clip(subtracted, name)
            row |= _estimate_columns(name, estimate_difference(ours, other, parameters))
        rows.append(row)
    return pd.DataFrame(rows, columns=None if rows else ["method", "clips"])


def is_control(method: AnyMethod) -> bool:
    """True if a method is none, but what the scores of others are to be read against."""
    return method.kind in CONTROLS or (isinstance(method, Ours) and method.is_control)


def role(method: AnyMethod) -> str:
    """Return how tables mark a method: as 'control' or as 'method'."""
    return "control" if is_control(method) else "method"


def reference_method(plan: Plan) -> str:
    """Return the method that paired differences are taken from.

    The one that the config names in ``tables.compare_with``; else ``ours``; else the first of the kind 'ours'; else the
    first; controls only where there is nothing else.
    """
    methods = plan.config.methods
    candidates = [name for name, method in methods.items() if not is_control(method)]
    ours = [name for name in candidates if methods[name].kind == "ours"]
    names = (plan.config.tables.compare_with, "ours", *ours, *candidates, *methods)
    return next(name for name in names if name in methods and name not in plan.obstacles)


def _values_by_clip(scores: pd.DataFrame, name: str) -> dict[str, float]:
    return scores[scores["score"] == name].dropna(subset="value").set_index("clip_id")["value"].to_dict()


def _estimate_columns(name: str, estimate: Estimate) -> dict[str, object]:
    return {
        name: estimate.mean,
        f"{name}_low": estimate.low,
        f"{name}_high": estimate.high,
        f"{name}_clips": estimate.n,
    }


def with_not_run(summary: pd.DataFrame, reasons: Mapping[str, str]) -> pd.DataFrame:
    """Put a row without values under a summary for each method that was not run.

    Args:
        summary: as :func:`summarise` returns it.
        reasons: method -> why it was not run.

    Returns:
        The summary with the column ``not_run`` behind ``clips``: the reason, empty for methods that were run.
    """
    table = summary.copy()
    table.insert(2, "not_run", "")
    rows = pd.DataFrame({"method": list(reasons), "not_run": list(reasons.values())})
    rows = rows.assign(**dict.fromkeys(_counts(table), 0))
    return pd.concat([table, rows], ignore_index=True) if reasons else table


def with_published(measured: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Put published rows under measured ones.

    The column ``origin`` keeps them apart, and published scores stand in columns of their own: nothing says that they
    were computed alike.
    """
    marked = published.rename(columns=PUBLISHED_COLUMNS).assign(origin="published")
    table = pd.concat([measured.assign(origin="measured"), marked], ignore_index=True)
    table = table.astype(dict.fromkeys(_counts(measured), "Int64"))  # which published rows lack
    return table[["origin", *[name for name in table.columns if name != "origin"]]]


def _counts(table: pd.DataFrame) -> list[str]:
    """Return the columns that count clips."""
    return [name for name in table if name == "clips" or name.endswith("_clips")]


def with_titles(table: pd.DataFrame) -> pd.DataFrame:
    """Name columns as readers are to see them: with scale, direction, view, frames and crop, see :class:`Score`."""
    return table.rename(columns=_title)


def _title(column: str) -> str:
    before, name, after = re.fullmatch(r"(difference_|)(.+?)(_low|_high|_clips|)", column).groups()
    return f"{before}{SCORES[name].title}{after}" if name in SCORES else column


def summary_markdown(
    summary: pd.DataFrame, columns: Sequence[str], leading: Sequence[str] = ("method", "clips")
) -> str:
    """Return a summary as a Markdown table: mean and interval in a cell, arrows for what is better.

    Args:
        summary: as :func:`summarise` or :func:`with_not_run` returns it.
        columns: names of the scores to show; those that it lacks are left out.
        leading: columns in front of the scores, shown as they are; of methods that were not run, 'not run' for clips.
    """
    present = [name for name in columns if name in summary.columns]
    header = [*leading, *map(score_heading, present)]
    lines = [header, ["---"] * len(header)]
    for row in summary.to_dict("records"):
        if row.get("not_run"):
            row["clips"] = "not run"
        lines.append([*[f"{row[name]}" for name in leading], *[_cell(row, name) for name in present]])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def score_heading(name: str) -> str:
    """Return a score's title with an arrow for what is better, as in 'psnr ↑'."""
    return f"{SCORES[name].title}{_ARROWS[SCORES[name].better]}"


def _cell(row: dict, name: str) -> str:
    mean, low, high = (row[key] for key in (name, f"{name}_low", f"{name}_high"))
    if pd.isna(mean):
        return "–"
    fewer = "" if row[f"{name}_clips"] == row["clips"] else f" ({row[f'{name}_clips']} clips)"
    return f"{estimate_text(mean, low, high)}{fewer}"


def estimate_text(mean: float, low: float | None, high: float | None) -> str:
    """Return a mean with its interval, if it has one, as in '30.1 [28.4, 31.2]'."""
    return short_number(mean) + ("" if pd.isna(low) else f" [{short_number(low)}, {short_number(high)}]")


def short_number(value: float) -> str:
    """Return a number as text with three significant digits or more, and never an exponent."""
    size = abs(value)
    return f"{value:.1f}" if size >= 100 else f"{value:.2f}" if size >= 1 else f"{value:.3f}"


def plain_markdown(table: pd.DataFrame) -> str:
    """Return a frame as a Markdown table; empty cells are a dash."""
    lines = [list(table.columns), ["---"] * len(table.columns)]
    lines += [["–" if pd.isna(cell) else str(cell) for cell in row] for row in table.itertuples(index=False)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def column_legend(columns: Sequence[str]) -> str:
    """Return a Markdown list that says what each score is."""
    return "".join(f"- `{SCORES[name].title}` ({SCORES[name].unit}): {SCORES[name].description}\n" for name in columns)
