"""Tabulate: all scores as ``scores.csv``; Table 1 with the published numbers beside ours, and paired differences."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pandas as pd

from stereozero.ablations import chosen_settings
from stereozero.artifacts import atomic_path, read_record, sha256_of
from stereozero.baselines import immersepro, propainter, stereodiffusion_declaration
from stereozero.config.scoring import NETWORK_METRICS, ClipScoring, Met3rScoring
from stereozero.errors import InputError, StageError
from stereozero.metrics.disparity import SWAPPED_EYES
from stereozero.plan import Plan
from stereozero.provenance import code_version
from stereozero.tables import (
    TABLE1_SCORES,
    TRUTH_SCORES,
    VIEW_SCORES,
    bootstrap_parameters,
    collect_scores,
    column_legend,
    paired_differences,
    plain_markdown,
    reference_method,
    role,
    summarise,
    summary_markdown,
    with_not_run,
    with_published,
    with_titles,
)

log = logging.getLogger(__name__)

_CONTROLS = {
    "mono-copy": "its target is the source, so it has no stereo effect at all. What scores best for it rewards doing "
    "nothing.",
    "ground-truth": "the true target view, the best any method can do.",
    "vae-limit": "the true target view through the generator's VAE, the best that can be decoded.",
}


def tabulate(plan: Plan) -> None:
    """Write ``scores.csv``, and ``table1`` and ``paired`` as CSV and Markdown, into the run's tables folder.

    Raises:
        StageError: there are no scores yet.
    """
    scores = collect_scores(plan)
    if scores.empty:
        raise StageError(f"{plan.paths.root}: there are no scores; run 'snakemake evaluate' first")
    write_csv(plan.paths.tables / "scores.csv", scores)
    _write_table1(plan, scores)
    _write_paired(plan, scores)
    log.info("tables of %d clips and %d methods: %s", *scores[["clip_id", "method"]].nunique(), plan.paths.tables)


def _write_table1(plan: Plan, scores: pd.DataFrame) -> None:
    summary = summarise(scores, TABLE1_SCORES, bootstrap_parameters(plan))
    summary = with_not_run(summary, plan.obstacles)
    summary.insert(1, "role", [role(plan.method(name)) for name in summary["method"]])
    published = read_published(plan, "table1")
    write_csv(plan.paths.tables / "table1.csv", with_titles(with_published(summary, published)))
    write_text(plan.paths.tables / "table1.md", _table1_markdown(plan, scores, summary, published))


def _write_paired(plan: Plan, scores: pd.DataFrame) -> None:
    reference = reference_method(plan)
    columns = [name for name in TABLE1_SCORES if name != "clip_text_source"]  # it is the same for all methods
    differences = paired_differences(scores, columns, reference, bootstrap_parameters(plan))
    differences.insert(1, "minus", reference)
    write_csv(plan.paths.tables / "paired.csv", with_titles(differences))
    write_text(plan.paths.tables / "paired.md", _paired_markdown(plan, reference, differences))


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


def _table1_markdown(plan: Plan, scores: pd.DataFrame, summary: pd.DataFrame, published: pd.DataFrame) -> str:
    return "\n".join(
        [
            f"# Table 1, run `{plan.config.run}`",
            "",
            "## Measured",
            "",
            _settings(plan),
            "",
            *_networks(plan),
            *_remarks(plan, scores),
            "",
            "Between the views, as the paper scores them, with the disparity achieved:",
            "",
            *_part(summary, VIEW_SCORES),
            "Against the true view, where it is known, and what disturbs viewers:",
            "",
            *_part(summary, TRUTH_SCORES),
            "Settings; all others are the defaults of the method's kind and preset, for `stereodiffusion` its released "
            "code's:",
            "",
            *[f"- `{name}`: {chosen_settings(plan, name)}" for name in plan.config.methods],
            "",
            "## Published",
            "",
            "The paper's own numbers: 40 clips generated with DynamiCrafter, all three scores multiplied by 100. "
            "Which direction of MEt3R and which crop of the frames they are of is not known. Other clips, other "
            "settings and perhaps other networks than above: the two tables can't be compared with each other.",
            "",
            *_protocols(),
            "",
            plain_markdown(published.assign(method=published["method"] + " (published)")),
        ]
    )


def _protocols() -> Iterator[str]:
    """Say how the paper's rows of the baselines differ from what their adapters do."""
    for module in (propainter, immersepro, stereodiffusion_declaration):
        published = module.DECLARATION.published
        yield f"- {published.row}: {published.notes}."


def _part(summary: pd.DataFrame, columns: Sequence[str]) -> Iterator[str]:
    """Yield some columns of a summary as a table and what they mean; nothing if it has none of them."""
    shown = [name for name in columns if name in summary.columns]
    if shown:
        yield summary_markdown(summary, shown)
        yield column_legend(shown)


def _paired_markdown(plan: Plan, reference: str, differences: pd.DataFrame) -> str:
    return "\n".join(
        [
            f"# Differences from `{reference}` on the same clips, run `{plan.config.run}`",
            "",
            _settings(plan),
            "",
            f"Each value is a method's score less that of `{reference}`, over the clips that have both. An interval "
            "without 0 is a difference that chance among the clips does not explain; of so many intervals side by "
            "side, a few miss 0 by chance.",
            "",
            *_part(differences, VIEW_SCORES),
            *_part(differences, TRUTH_SCORES),
            *(["There is no other method to compare with.\n"] if differences.empty else []),
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


def _networks(plan: Plan) -> Iterator[str]:
    """Say which models the scores come from."""
    asked_for = {NETWORK_METRICS.get(metric) for metric in plan.config.metrics}
    for network in ("clip", "met3r"):
        match getattr(plan.config.scoring, network) if network in asked_for else None:
            case ClipScoring() as settings:
                yield f"- CLIP: {settings.variant or f'the saved model `{settings.folder}`'}."
            case Met3rScoring() as settings:
                features = f"{settings.entry} of `{settings.hub}`" if settings.features == "dinov2" else "DINO ViT-S/16"
                size = f"{settings.shorter_side} px" if settings.shorter_side else "unchanged"
                yield (
                    f"- MEt3R: geometry {settings.geometry}, features {features}, upsampled {settings.upsampler}; "
                    f"shorter side of the frames {size}."
                )


def _remarks(plan: Plan, scores: pd.DataFrame) -> Iterator[str]:
    """Say what keeps rows from being compared like for like."""
    counts = {name: len(plan.method_clips(name)) for name in plan.config.methods if name not in plan.obstacles}
    if len(set(counts.values())) > 1:
        listing = ", ".join(f"{name} {count}" for name, count in counts.items())
        yield f"- Not every method ran on every clip ({listing}): their means are over different clips."
    yield from (f"- `{name}` was not run: {reason}." for name, reason in plan.obstacles.items())
    yield from control_remarks(plan, plan.config.methods)
    swapped = scores[scores["notes"].str.contains(SWAPPED_EYES, regex=False) & (scores["score"] == "disparity_p50")]
    for method, clips in swapped.groupby("method", sort=False)["clip_id"]:
        yield f"- `{method}`, {_some(clips)}: {SWAPPED_EYES}."
    for clip in plan.clips:
        folders = [plan.paths.inputs(clip.clip_id), *[plan.paths.target(name, clip.clip_id) for name in counts]]
        notes = [(read_record(folder) or {}).get("notes", {}) for folder in folders]
        yield from (f"- `{clip.clip_id}`: {text}." for note in notes for text in note.get("warnings", []))


def control_remarks(plan: Plan, methods: Iterable[str]) -> Iterator[str]:
    """Say which kinds of control are among the methods, a line of a Markdown list each."""
    kinds = {plan.method(name).kind for name in methods}
    yield from (f"- `{kind}` is a control: {remark}" for kind, remark in _CONTROLS.items() if kind in kinds)


def _some(clips: Iterable[str]) -> str:
    names = list(clips)
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
