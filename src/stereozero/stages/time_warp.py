"""Table 5: the time of three implementations of the forward warp, measured in one run."""

import logging
from dataclasses import asdict

import pandas as pd

from stereozero.device import resolve_device
from stereozero.plan import Plan
from stereozero.stages.tabulate import read_published, write_csv, write_text
from stereozero.stereo.warp_timing import time_warps
from stereozero.tables import plain_markdown, with_published

log = logging.getLogger(__name__)


def time_warp(plan: Plan) -> None:
    """Time the warps and write ``table5.csv`` and ``table5.md`` into the run's tables folder.

    Raises:
        StageError: two implementations that must agree do not.
    """
    settings = plan.config.warp_timing
    timings = time_warps(
        settings.sizes,
        repeats=settings.repeats,
        loop_repeats=settings.loop_repeats,
        strength=plan.config.strength,
        device=resolve_device(plan.config.device),
        seed=plan.config.seed,
    )
    measured = pd.DataFrame([asdict(timing) for timing in timings])
    published = read_published(plan, "table5")
    table = with_published(measured, published.rename(columns={"milliseconds": "milliseconds_mean"}))
    write_csv(plan.paths.tables / "table5.csv", table)
    write_text(plan.paths.tables / "table5.md", _markdown(plan, measured, published))
    log.info("table 5: %s", plan.paths.tables / "table5.md")


def _markdown(plan: Plan, measured: pd.DataFrame, published: pd.DataFrame) -> str:
    return "\n".join(
        [
            f"# Table 5, run `{plan.config.run}`: time of the forward warp",
            "",
            "`loop`: nested loops over pixels. `unique`: the paper's vectorisation. All in one run, results compared "
            "bit by bit first (but for `ours-subpixel`, which shifts by fractions of a pixel). Command: "
            "`snakemake --cores all table5`.",
            "",
            "## Measured",
            "",
            plain_markdown(measured),
            "## Published",
            "",
            "Mean of 20 executions; hardware, image and strength are not named.",
            "",
            plain_markdown(published),
        ]
    )
