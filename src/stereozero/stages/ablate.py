"""Ablate: one table and one picture that compare some methods of a run (paper, Figures 4, 8 and 9)."""

import logging
from collections.abc import Sequence

import pandas as pd

from stereozero.ablations import setting_differences, without_effect
from stereozero.comparison import ClipFrames, Detail, busiest_detail, draw_comparison
from stereozero.errors import InputError, StageError
from stereozero.manifest import Clip, ClipKind
from stereozero.plan import Plan
from stereozero.provenance import code_version
from stereozero.stages.tabulate import control_remarks, write_csv, write_text
from stereozero.stages.views import first_of_scenes, view_files
from stereozero.tables import (
    TABLE1_SCORES,
    bootstrap_parameters,
    collect_scores,
    column_legend,
    paired_differences,
    role,
    summarise,
    summary_markdown,
    with_not_run,
    with_titles,
)
from stereozero.video import read_mask, read_video
from stereozero.wording import suggest

log = logging.getLogger(__name__)

_PANELS = ("psnr", "ssim_masked", "siou_masked", "disparity_error_mean", "disparity_p99", "colour_matched")
_MOST_PANELS = 4


def ablate(plan: Plan, ablation: str) -> None:
    """Write an ablation's ``.csv``, ``.md`` and ``.png`` into the run's tables folder.

    Raises:
        InputError: the config has no such ablation.
        StageError: there are no scores of its methods yet.
    """
    if ablation not in plan.config.ablations:
        known = suggest(ablation, plan.config.ablations)
        raise InputError(f"ablation '{ablation}' is not in the config's section 'ablations'{known}")
    methods = plan.config.ablations[ablation]
    scores = collect_scores(plan)
    scores = scores[scores["method"].isin(methods)]
    if scores.empty:
        raise StageError(f"{plan.paths.root}: the methods of '{ablation}' have no scores; run 'snakemake ablations'")
    summary = _summary(plan, methods, scores)
    differences = paired_differences(scores, TABLE1_SCORES, methods[-1], bootstrap_parameters(plan))
    write_csv(plan.paths.ablation(ablation, ".csv"), with_titles(_table(summary, differences)))
    write_text(plan.paths.ablation(ablation, ".md"), _markdown(plan, ablation, summary, differences))
    known = summary.dropna(axis="columns", how="all").columns
    panels = [name for name in _PANELS if name in known][:_MOST_PANELS]
    clips = [_clip_frames(plan, methods, clip) for clip in first_of_scenes(plan, methods)]
    draw_comparison(plan.paths.ablation(ablation, ".png"), clips, summary, panels)
    log.info("ablation: %s", plan.paths.ablation(ablation, ".md"))


def _summary(plan: Plan, methods: Sequence[str], scores: pd.DataFrame) -> pd.DataFrame:
    """Return means and intervals, a row a method in the ablation's order, and what the methods differ in."""
    summary = summarise(scores, TABLE1_SCORES, bootstrap_parameters(plan))
    missing = [name for name in methods if name not in set(summary["method"])]
    summary = with_not_run(summary, {name: plan.obstacles.get(name, "it has no scores") for name in missing})
    summary = summary.set_index("method").loc[list(methods)].reset_index()
    summary.insert(1, "role", [role(plan.method(name)) for name in methods])
    summary.insert(2, "setting", list(setting_differences(plan, methods).values()))
    return summary


def _table(summary: pd.DataFrame, differences: pd.DataFrame) -> pd.DataFrame:
    """Return the summary with the differences as further columns, ``difference_<score>`` and so on."""
    if differences.empty:
        return summary
    added = differences.drop(columns="clips").set_index("method").add_prefix("difference_")
    return summary.join(added, on="method")


def _markdown(plan: Plan, ablation: str, summary: pd.DataFrame, differences: pd.DataFrame) -> str:
    shown = [name for name in TABLE1_SCORES if name in summary.columns]
    settings = zip(summary["method"], summary["setting"], strict=True)
    obstructed = [name for name in summary["method"] if name in plan.obstacles]
    reference = summary["method"].iloc[-1]
    tables = plan.config.tables
    return "\n".join(
        [
            f"# Ablation `{ablation}`, run `{plan.config.run}`",
            "",
            f"Mean over clips with {100 * tables.confidence:g} % bootstrap interval ({tables.bootstrap_samples} "
            f"resamples). Seed {plan.config.seed}, code {code_version()}. Command: `snakemake --cores all ablations`.",
            "",
            *[f"- `{name}`: {setting or 'the same settings as the others'}" for name, setting in settings],
            *[f"- `{name}` was not run: {plan.obstacles[name]}." for name in obstructed],
            *[
                f"- `{name}`: every target video equals `{reference}`'s: "
                "what they differ in leaves no trace on these clips."
                for name in without_effect(plan, list(summary["method"]))
            ],
            *control_remarks(plan, summary["method"]),
            "",
            summary_markdown(summary, shown),
            f"## Differences from `{reference}` on the same clips",
            "",
            summary_markdown(differences, shown),
            column_legend(shown),
            f"![frames and scores]({ablation}.png)",
            "",
        ]
    )


def _clip_frames(plan: Plan, methods: Sequence[str], clip: Clip) -> ClipFrames:
    """Return the middle frame of a clip's source, targets and true targets."""
    videos = {title: read_video(path).frames for title, path in view_files(plan, methods, clip).items()}
    time = len(videos["source"]) // 2
    frames = {title: video[time] for title, video in videos.items()}
    return ClipFrames(f"{clip.clip_id}, frame {time}", frames, _detail(plan, methods, clip, time))


def _detail(plan: Plan, methods: Sequence[str], clip: Clip, time: int) -> Detail | None:
    """Return where the true target of the largest strength shows most of what the source does not, if it is known."""
    if clip.kind is not ClipKind.WORLD:
        return None
    strength = max((plan.strength(clip, name) for name in methods if plan.runs(name, clip)), key=abs)
    return busiest_detail(read_mask(plan.paths.disoccluded(clip, strength))[time])
