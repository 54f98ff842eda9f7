"""Tabulate: all scores as ``scores.csv``; Table 1 as CSV and Markdown, the published numbers beside ours."""

import logging
from pathlib import Path

import pandas as pd

from stereozero.artifacts import atomic_path, sha256_of
from stereozero.errors import InputError, StageError
from stereozero.plan import Plan
from stereozero.provenance import code_version
from stereozero.tables import (
    TABLE1_SCORES,
    bootstrap_parameters,
    collect_scores,
    column_legend,
    plain_markdown,
    summarise,
    summary_markdown,
    with_not_run,
    with_published,
)

log = logging.getLogger(__name__)


def tabulate(plan: Plan) -> None:
    """Write ``scores.csv``, ``table1.csv`` and ``table1.md`` into the run's tables folder.

    Raises:
        StageError: there are no scores yet.
    """
    scores = collect_scores(plan)
    if scores.empty:
        raise StageError(f"{plan.paths.root}: there are no scores; run 'snakemake evaluate' first")
    summary = summarise(scores, TABLE1_SCORES, bootstrap_parameters(plan))
    summary = with_not_run(summary, list(plan.obstacles))
    published = read_published(plan, "table1")
    write_csv(plan.paths.tables / "scores.csv", scores)
    write_csv(plan.paths.tables / "table1.csv", with_published(summary, published))
    write_text(plan.paths.tables / "table1.md", _table1_markdown(plan, summary, published))
    log.info("tables of %d clips and %d methods: %s", scores["clip_id"].nunique(), len(summary), plan.paths.tables)


def read_published(plan: Plan, table: str) -> pd.DataFrame:
    """Return one of the paper's tables.

    Raises:
        InputError: the file is missing.
    """
    path = plan.published(table)
    if not path.is_file():
        raise InputError(f"{path}: is missing; the config's 'published' must name the folder with the paper's tables")
    return pd.read_csv(path)


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a frame as CSV, atomically; numbers with ten significant digits, so that reruns compare equal."""
    write_text(path, table.to_csv(index=False, float_format="%.10g", lineterminator="\n"))


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _table1_markdown(plan: Plan, summary: pd.DataFrame, published: pd.DataFrame) -> str:
    shown = [name for name in TABLE1_SCORES if name in summary.columns]
    return "\n".join(
        [
            f"# Table 1, run `{plan.config.run}`",
            "",
            "## Measured",
            "",
            _settings(plan),
            "",
            summary_markdown(summary, shown),
            *_remarks(plan),
            "",
            column_legend(shown),
            "## Published",
            "",
            "The paper's own numbers: 40 clips generated with DynamiCrafter, MEt3R multiplied by 100. Other clips and "
            "other scores than above: the two tables can't be compared with each other.",
            "",
            plain_markdown(published),
        ]
    )


def _settings(plan: Plan) -> str:
    config = plan.config
    strengths = sorted({plan.strength(clip, name) for name in config.methods for clip in plan.method_clips(name)})
    return (
        f"Manifest `{config.manifest}` (SHA-256 {sha256_of(Path(config.manifest))[:12]}…), seed {config.seed}, "
        f"strength {', '.join(f'{value:g}' for value in strengths)} % of width, code {code_version()}. Mean over clips "
        f"with {100 * config.tables.confidence:g} % bootstrap interval ({config.tables.bootstrap_samples} resamples). "
        "Command: `snakemake --cores all`."
    )


def _remarks(plan: Plan) -> list[str]:
    """Say what keeps rows from being compared like for like."""
    remarks = []
    counts = {name: len(plan.method_clips(name)) for name in plan.config.methods if name not in plan.obstacles}
    if len(set(counts.values())) > 1:
        listing = ", ".join(f"{name} {count}" for name, count in counts.items())
        remarks.append(f"- Not every method ran on every clip ({listing}): their means are over different clips.")
    remarks += [f"- `{name}` was not run: {reason}." for name, reason in plan.obstacles.items()]
    kinds = {method.kind for method in plan.config.methods.values()}
    if "mono-copy" in kinds:
        remarks.append("- `mono-copy` is a control: its target is the source, so it has no stereo effect at all.")
    if "ground-truth" in kinds:
        remarks.append("- `ground-truth` is a control: the true target view, the best any method can do.")
    return remarks
