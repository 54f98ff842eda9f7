"""The command line: one subcommand a stage, and what a person needs around them."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from stereozero.artifacts import copy_file, system_message, write_json
from stereozero.config import read_yaml
from stereozero.config.outputs import DepthTables
from stereozero.costs import measured_costs, needs_gpu
from stereozero.errors import StageError, StereoZeroError
from stereozero.gpu_lease import visible_gpu
from stereozero.jobs import STAGES, plan_jobs, write_marker
from stereozero.plan import describe_plan, prepare, read_plan, resolve, write_plan
from stereozero.resources import describe_work, job_requests
from stereozero.stages.stage import Stage
from stereozero.upkeep import (
    RERUN_CODE,
    damaged_artifacts,
    damaged_downloads,
    discard,
    forget_other_code,
    restorer,
    runs_in,
)
from stereozero.weights import needed_models

log = logging.getLogger("stereozero")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; return the exit status: 0, or 1 if the user's input or a stage failed."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    parsed = _parser().parse_args(arguments)
    try:
        parsed.call(parsed)
    except StereoZeroError as error:
        log.error("error: %s", error)
        return 1
    except OSError as error:
        log.error("error: %s", system_message(error))
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="stereozero", description="Stereo video from prompts and images, measured.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_plan(commands)
    for stage in STAGES:
        _add_stage(commands, stage)
    _add_weights(commands)
    _add_programs(commands)
    _add_summaries(commands)
    _add_ablate(commands)
    _add_depth_table(commands)
    _add_figure7(commands)
    _add_time_warp(commands)
    _add_verify(commands)
    _add_discard(commands)
    _add_keep(commands)
    _add_reference(commands)
    return parser


def _add_plan(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("plan", help="check a config and its manifest, say what would be run")
    command.add_argument("config", type=Path, help="YAML file")
    command.add_argument("--output", type=Path, help="where to write the plan, for stages that are run by hand")
    command.set_defaults(call=_plan)


def _plan(parsed: argparse.Namespace) -> None:
    plan = prepare(read_yaml(parsed.config), str(parsed.config))
    jobs = plan_jobs(plan)
    requests = job_requests(plan, jobs, measured_costs(plan, jobs))
    for line in (*describe_plan(plan), *describe_work(plan, jobs, requests)):
        log.info("%s", line)
    log.info("%d jobs", len(jobs))
    if parsed.output:
        write_plan(plan, parsed.output)


def _add_stage(commands: argparse._SubParsersAction, stage: Stage) -> None:
    command = commands.add_parser(stage.name, help=stage.help)
    command.add_argument("--plan", type=Path, required=True, help="plan.json of the run")
    command.add_argument("--variant", default="", help="variant in the config, for stages that have any")
    command.add_argument("--marker", type=Path, help="file to write when all artefacts are there")
    command.add_argument("--clips", nargs="+", metavar="ID", help="clip ids; default: all the stage is for")
    command.set_defaults(call=_run_stage, stage=stage)


def _run_stage(parsed: argparse.Namespace) -> None:
    plan, stage = read_plan(parsed.plan), parsed.stage
    clips = [plan.clip(clip_id) for clip_id in parsed.clips] if parsed.clips else stage.clips(plan, parsed.variant)
    if os.environ.get(RERUN_CODE):
        forget_other_code(plan, stage, parsed.variant, clips)
    with visible_gpu(needs_gpu(plan, stage, parsed.variant)):
        stage.run(plan, parsed.variant, clips, restorer(plan, stage))
    if parsed.marker:
        write_marker(parsed.marker, plan, stage, parsed.variant, clips)


def _add_weights(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("weights", help="fetch and verify published models that a run needs")
    command.add_argument("--plan", type=Path, required=True, help="plan.json of the run")
    command.add_argument("--models", nargs="+", metavar="NAME", help="models; default: all that the run needs")
    command.set_defaults(call=_weights)


def _weights(parsed: argparse.Namespace) -> None:
    from stereozero.stages.fetch_weights import fetch_weights

    plan = read_plan(parsed.plan)
    for name in parsed.models or needed_models(plan.config):
        fetch_weights(plan, name)


def _add_programs(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("prepare", help="get the programs that external methods run; needs a network")
    command.add_argument("config", type=Path, help="YAML file")
    command.set_defaults(call=_prepare_programs)


def _prepare_programs(parsed: argparse.Namespace) -> None:
    from stereozero.stages.convert import install_programs

    install_programs(resolve(read_yaml(parsed.config), str(parsed.config)))


def _add_summaries(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("tabulate", help="collect all scores and write the tables")
    command.add_argument("--plan", type=Path, required=True, help="plan.json of the run")
    command.set_defaults(call=_tabulate)
    command = commands.add_parser("gallery", help="write a page with every clip's views, players' files and tables")
    command.add_argument("--plan", type=Path, required=True, help="plan.json of the run")
    command.set_defaults(call=_gallery)


def _tabulate(parsed: argparse.Namespace) -> None:
    from stereozero.stages.tabulate import tabulate

    tabulate(read_plan(parsed.plan))


def _gallery(parsed: argparse.Namespace) -> None:
    from stereozero.stages.gallery import write_gallery

    write_gallery(read_plan(parsed.plan))


def _add_ablate(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("ablate", help="write the table and the picture of one ablation")
    command.add_argument("ablation", help="name in the config's section 'ablations'")
    command.add_argument("--plan", type=Path, required=True, help="plan.json of the run")
    command.set_defaults(call=_ablate)


def _ablate(parsed: argparse.Namespace) -> None:
    from stereozero.stages.ablate import ablate

    ablate(read_plan(parsed.plan), parsed.ablation)


def _add_depth_table(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("depth-table", help="write one of the tables that compare depths")
    command.add_argument("table", choices=DepthTables.model_fields, help="table of the paper")
    command.add_argument("--plan", type=Path, required=True, help="plan.json of the run")
    command.set_defaults(call=_depth_table)


def _depth_table(parsed: argparse.Namespace) -> None:
    from stereozero.stages.depth_table import write_depth_table

    write_depth_table(read_plan(parsed.plan), parsed.table)


def _add_figure7(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("figure7", help="write a picture of frames x methods for every clip")
    command.add_argument("--plan", type=Path, required=True, help="plan.json of the run")
    command.add_argument("--clips", nargs="+", metavar="ID", help="clip ids; default: all")
    command.add_argument("--methods", nargs="+", metavar="NAME", help="rows, in this order; default: the config's")
    command.set_defaults(call=_figure7)


def _figure7(parsed: argparse.Namespace) -> None:
    from stereozero.stages.figure7 import draw_figure7

    plan = read_plan(parsed.plan)
    clips = [plan.clip(clip_id) for clip_id in parsed.clips] if parsed.clips else None
    draw_figure7(plan, clips, parsed.methods)


def _add_time_warp(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("time-warp", help="Table 5: time the three implementations of the forward warp")
    command.add_argument("--plan", type=Path, required=True, help="plan.json of the run")
    command.set_defaults(call=_time_warp)


def _time_warp(parsed: argparse.Namespace) -> None:
    from stereozero.stages.time_warp import time_warp

    time_warp(read_plan(parsed.plan))


def _add_verify(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("verify", help="compare every artefact of a run with the checksums in its record")
    command.add_argument("folder", type=Path, help="a run's folder, e.g. results/demo, or that of all runs")
    command.add_argument("--repair", action="store_true", help="let the next Snakemake run make damaged ones again")
    command.set_defaults(call=_verify)


def _verify(parsed: argparse.Namespace) -> None:
    damaged = sum(_verify_run(run, parsed.repair) for run in runs_in(parsed.folder))
    for path in damaged_downloads(parsed.folder / "downloads"):
        log.error("%s: is not what was downloaded", path)
        damaged += 1
        if parsed.repair:
            path.unlink()
    if damaged and not parsed.repair:
        raise StageError("some files are damaged; 'stereozero verify --repair' has them made again by the next run")


def _verify_run(run: Path, repair: bool) -> int:
    """Report a run's damaged artefacts; to repair is to have the next run do their jobs. Return how many they are."""
    findings = damaged_artifacts(run)
    for marker, problems in findings.items():
        for name, problem in problems.items():
            log.error("%s: %s", run / name, problem)
        if marker and problems and repair:
            marker.unlink()
            log.info("removed %s: the next Snakemake run does this job again", marker)
    damaged = sum(len(problems) for problems in findings.values())
    log.info("%s: %d jobs checked, %d artefacts damaged", run, len(findings) - 1, damaged)
    return damaged


def _add_discard(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("discard", help="delete latents whose last reader is done; the rules call this")
    command.add_argument("stage", choices=[stage.name for stage in STAGES if stage.discardable])
    command.add_argument("--plan", type=Path, required=True, help="plan.json of the run")
    command.add_argument("--variant", default="", help="variant of the stage, if it has any")
    command.add_argument("--marker", type=Path, required=True, help="file to write when they are deleted")
    command.add_argument("--clips", nargs="+", metavar="ID", required=True, help="clip ids")
    command.set_defaults(call=_discard)


def _discard(parsed: argparse.Namespace) -> None:
    plan = read_plan(parsed.plan)
    stage = next(stage for stage in STAGES if stage.name == parsed.stage)
    discard(plan, stage, parsed.variant, [plan.clip(clip_id) for clip_id in parsed.clips])
    write_json(parsed.marker, {"fingerprint": "", "artifacts": {}})


def _add_keep(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("keep", help="copy a table to where it is kept; the rules call this")
    command.add_argument("table", type=Path, help="file of a run")
    command.add_argument("copy", type=Path, help="where it is kept")
    command.set_defaults(call=_keep)


def _keep(parsed: argparse.Namespace) -> None:
    copy_file(parsed.table, parsed.copy)


def _add_reference(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("reference", help="print all keys, baselines, columns, scores and models as Markdown")
    command.set_defaults(call=_reference)


def _reference(parsed: argparse.Namespace) -> None:
    from stereozero.reference import reference

    sys.stdout.write(reference())
