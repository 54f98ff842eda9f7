"""Depth table: one of the paper's tables that compare depths, with the published numbers and the depths' own errors."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import pandas as pd

from stereozero.artifacts import read_record
from stereozero.config.methods import AnyMethod
from stereozero.depth.pictures import draw_disparities
from stereozero.depth_tables import ALL_SCENES, FACTS, beside_published, depth_facts, precision_effects, published_rows
from stereozero.disparity_io import load_disparity
from stereozero.errors import InputError, StageError
from stereozero.manifest import Clip, ClipKind
from stereozero.metrics.depth_error import DEPTH_ERROR, relative_error
from stereozero.plan import Plan
from stereozero.provenance import code_version
from stereozero.stages.depth_pictures import depth_label, shown_label
from stereozero.stages.tabulate import control_remarks, read_published, write_csv, write_text
from stereozero.stages.views import first_of_scenes, with_depth
from stereozero.tables import (
    PUBLISHED_COLUMNS,
    TABLE1_SCORES,
    bootstrap_parameters,
    collect_scores,
    column_legend,
    estimate_text,
    is_control,
    plain_markdown,
    role,
    score_heading,
    summarise,
    summary_markdown,
    with_titles,
)
from stereozero.video import read_video

log = logging.getLogger(__name__)

_COLUMNS = (DEPTH_ERROR.name, *TABLE1_SCORES)
_BY_SCENE = "table4"  # simple and complex scenes apart
_SUBJECTS = {"table3": "depth estimators", "table4": "dissolve steps", "table6": "depth resolutions"}


def write_depth_table(plan: Plan, table: str) -> None:
    """Write a table's ``.csv``, ``.md``, and a picture of its depths for the first clip of each scene.

    Raises:
        InputError: the config names no methods for the table.
        StageError: there are no scores of them yet.
    """
    methods = getattr(plan.config.depth_tables, table)
    if not methods:
        raise InputError(f"depth_tables.{table}: names no methods; benchmark/depth.yaml has some")
    scores = collect_scores(plan)
    scores = scores[scores["method"].isin(methods)]
    if scores.empty:
        raise StageError(f"{plan.paths.root}: the methods of {table} have no scores; run 'snakemake {table}'")
    scores = pd.concat([scores, _depth_errors(plan, methods)], ignore_index=True)
    summary = beside_published(_summary(plan, table, scores), published_rows(read_published(plan, table)))
    write_csv(plan.paths.depth_table(table, ".csv"), with_titles(summary))
    write_text(plan.paths.depth_table(table, ".md"), _markdown(plan, table, summary, scores))
    for clip in _shown(plan, table):
        _draw(plan, table, clip)
    log.info("%s: %s", table, plan.paths.depth_table(table, ".md"))


def _depth_errors(plan: Plan, methods: Sequence[str]) -> pd.DataFrame:
    """Return the error of each method's disparity on each clip whose true depth is known, as rows of scores.

    Controls have none, also where they take a depth: they don't say whether its precision matters.
    """
    from safetensors.numpy import load_file

    rows = []
    compared = [name for name in methods if not is_control(plan.method(name))]
    for clip in plan.clips:
        users = [name for name in compared if clip.kind is ClipKind.WORLD and plan.runs(name, clip)]
        if not users:
            continue
        truth = load_file(plan.paths.world(clip.clip_id) / "geometry.safetensors")["depth"]  # (F, H, W)
        for name in users:
            disparity = load_disparity(plan.disparity(plan.method(name).depth, clip))
            rows.append((clip.clip_id, clip.scene, name, DEPTH_ERROR.name, relative_error(disparity, truth)))
    return pd.DataFrame(rows, columns=["clip_id", "scene", "method", "score", "value"])


def _summary(plan: Plan, table: str, scores: pd.DataFrame) -> pd.DataFrame:
    """Return means and intervals, a row a method (and scene), and what each row's depth went through."""
    groups = scores.groupby("scene", sort=False) if table == _BY_SCENE else [(ALL_SCENES, scores)]
    rows = []
    for scene, of_scene in groups:
        for row in summarise(of_scene, _COLUMNS, bootstrap_parameters(plan)).to_dict("records"):
            method = plan.method(row["method"])
            clips = of_scene.loc[of_scene["method"] == row["method"], "clip_id"].unique()
            about = {"method": row["method"], "scene": scene or ALL_SCENES, "kind": method.kind, "role": role(method)}
            rows.append({**about, **_went_through(plan, method, clips), **row})
    return pd.DataFrame(rows)


def _went_through(plan: Plan, method: AnyMethod, clip_ids: Iterable[str]) -> dict[str, str]:
    """Return what a method's depth went through; of a control without one, nothing."""
    if not hasattr(method, "depth"):
        return dict.fromkeys((*FACTS, "dissolved_to"), "")
    return {**depth_facts(plan, method.depth), "dissolved_to": _dissolved_to(plan, method.depth, clip_ids)}


def _dissolved_to(plan: Plan, depth: str, clip_ids: Iterable[str]) -> str:
    """Return which steps an adaptive level came to, on how many clips, and their mean agreement; else nothing."""
    notes = [(read_record(plan.disparity(depth, plan.clip(name)).parent) or {}).get("notes", {}) for name in clip_ids]
    chosen = [(one["dissolved_to"], one["agreement"]) for one in notes if "dissolved_to" in one]
    if not chosen:
        return ""
    counts = sorted(Counter(step or 0 for step, _ in chosen).items())
    steps = ", ".join(f"{step or 'none'} ({count})" for step, count in counts)
    kept = [agreements[str(step)] if step else 1.0 for step, agreements in chosen]
    return f"{steps}; agreement {sum(kept) / len(kept):.2f}"


def _markdown(plan: Plan, table: str, summary: pd.DataFrame, scores: pd.DataFrame) -> str:
    tables, shown = plan.config.tables, [name for name in _COLUMNS if name in summary.columns]
    published = [name for name in PUBLISHED_COLUMNS.values() if name in summary.columns]
    chosen = ["dissolved_to"] if summary["dissolved_to"].any() else []
    leading = ["method", *(["scene"] if table == _BY_SCENE else []), *FACTS, *chosen, "clips", *published]
    return "\n".join(
        [
            f"# {table.replace('table', 'Table ')}, {_SUBJECTS[table]}, run `{plan.config.run}`",
            "",
            f"Mean over clips with {100 * tables.confidence:g} % bootstrap interval ({tables.bootstrap_samples} "
            f"resamples). Seed {plan.config.seed}, code {code_version()}. Command: `snakemake --cores all {table}`. "
            "Columns that begin with `published_` are the paper's own numbers, for other clips and the published "
            "models: they stand beside ours and can't be compared with them.",
            "",
            summary_markdown(_as_text(summary, [*FACTS, *published, *chosen]), shown, leading),
            *control_remarks(plan, getattr(plan.config.depth_tables, table)),
            "",
            *_effects(plan, scores, shown),
            column_legend(shown),
            *[f"![depths of {clip.clip_id}]({table}-{clip.clip_id}.png)" for clip in _shown(plan, table)],
            "",
        ]
    )


def _as_text(summary: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Return a table with some columns as they are read: numbers as published, a dash where there is nothing."""
    texts = {name: ["–" if pd.isna(cell) or cell == "" else f"{cell}" for cell in summary[name]] for name in columns}
    return summary.assign(**texts)


def _effects(plan: Plan, scores: pd.DataFrame, columns: Sequence[str]) -> Iterator[str]:
    """Yield the part that says whether precise depth matters, where the depths' errors are known."""
    others = [name for name in columns if name != DEPTH_ERROR.name]
    effects = precision_effects(scores, others, bootstrap_parameters(plan)).dropna(subset="correlation")
    if effects.empty:
        return
    yield "## Do precise depth maps matter?"
    yield ""
    yield (
        "Within each clip, the rows but for the controls are ranked by the error of their depth and by each score, and "
        "the two ranks are correlated: 1 says that the more precise the depth, the better the score, 0 that they have "
        "nothing to do with each other, -1 the opposite. Mean over clips and its interval:"
    )
    yield ""
    yield plain_markdown(
        pd.DataFrame(
            {
                "score": [score_heading(name) for name in effects["score"]],
                "rank correlation with the depth's precision": [
                    estimate_text(row.correlation, row.low, row.high) for row in effects.itertuples()
                ],
                "clips": effects["clips"],
            }
        )
    )


def _shown(plan: Plan, table: str) -> list[Clip]:
    return first_of_scenes(plan, _with_depth(plan, table))


def _with_depth(plan: Plan, table: str) -> list[str]:
    return with_depth(plan, getattr(plan.config.depth_tables, table))


def _draw(plan: Plan, table: str, clip: Clip) -> None:
    """Draw the disparities of the table's depths side by side; of a progressive one, its levels."""
    methods = [name for name in _with_depth(plan, table) if plan.runs(name, clip)]
    levels = [level for name in methods for level in plan.depth_levels(plan.method(name).depth).values()]
    disparities = {}
    for depth in dict.fromkeys(levels):
        path = plan.paths.disparity(depth, clip.clip_id)
        disparities[shown_label(depth_label(plan, depth, clip), path)] = load_disparity(path)
    source = read_video(plan.paths.depth_video(clip)).frames
    draw_disparities(plan.paths.depth_table(table, f"-{clip.clip_id}.png"), source, disparities)
