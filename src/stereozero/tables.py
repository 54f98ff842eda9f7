"""Tables: every score in one tidy frame, and summaries of it with intervals over clips."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from stereozero.metrics import SCORES
from stereozero.metrics.statistics import BootstrapParameters, Estimate, estimate_difference, estimate_mean
from stereozero.plan import Plan

TABLE1_SCORES = (
    "psnr",
    "ssim",
    "ms_ssim",
    "siou",
    "psnr_masked",
    "ssim_masked",
    "siou_masked",
    "disparity_p01",
    "disparity_p99",
    "disparity_error_mean",
    "colour_matched",
    "flicker_excess",
    "window_rows",
)
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
            for metric in plan.config.metrics:
                path = plan.paths.scores(name, metric, clip.clip_id)
                if path.is_file():
                    yield from _metric_rows(about, metric, path)


def _metric_rows(about: tuple, metric: str, path: Path) -> Iterable[tuple]:
    content = json.loads(path.read_text(encoding="utf-8"))
    for score, value in content["clip"].items():
        remarks = [text for text in content["notes"] if score in _named(text)]
        yield (*about, metric, score, SCORES[score].unit, SCORES[score].better, value, "; ".join(remarks))


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
    return pd.DataFrame(rows)


def _values_by_clip(scores: pd.DataFrame, name: str) -> dict[str, float]:
    return scores[scores["score"] == name].dropna(subset="value").set_index("clip_id")["value"].to_dict()


def _estimate_columns(name: str, estimate: Estimate) -> dict[str, object]:
    return {
        name: estimate.mean,
        f"{name}_low": estimate.low,
        f"{name}_high": estimate.high,
        f"{name}_clips": estimate.n,
    }


def with_not_run(summary: pd.DataFrame, methods: Sequence[str]) -> pd.DataFrame:
    """Put a row without values under a summary for each method that was not run."""
    rows = pd.DataFrame({"method": list(methods), "clips": 0})
    return pd.concat([summary, rows], ignore_index=True) if methods else summary


def with_published(measured: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Put published rows under measured ones; the column ``origin`` keeps them apart."""
    return pd.concat(
        [measured.assign(origin="measured"), published.assign(origin="published")], ignore_index=True
    ).pipe(lambda table: table[["origin", *[name for name in table.columns if name != "origin"]]])


def summary_markdown(summary: pd.DataFrame, columns: Sequence[str]) -> str:
    """Return a summary as a Markdown table: mean and interval in a cell, arrows for what is better."""
    present = [name for name in columns if name in summary.columns]
    header = ["method", "clips", *map(score_heading, present)]
    lines = [header, ["---"] * len(header)]
    for row in summary.to_dict("records"):
        lines.append([f"{row['method']}", f"{row['clips']}", *[_cell(row, name) for name in present]])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def score_heading(name: str) -> str:
    """Return a score's name with an arrow for what is better, as in 'psnr ↑'."""
    return f"{name}{_ARROWS[SCORES[name].better]}"


def _cell(row: dict, name: str) -> str:
    mean, low, high = (row[key] for key in (name, f"{name}_low", f"{name}_high"))
    if pd.isna(mean):
        return "–"
    interval = "" if pd.isna(low) else f" [{short_number(low)}, {short_number(high)}]"
    fewer = "" if row[f"{name}_clips"] == row["clips"] else f" ({row[f'{name}_clips']} clips)"
    return f"{short_number(mean)}{interval}{fewer}"


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
    return "".join(f"- `{name}` ({SCORES[name].unit}): {SCORES[name].description}\n" for name in columns)
