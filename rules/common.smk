# Helpers only. What runs, in which order and when again is decided in src/stereozero/jobs.py; rules call the CLI.

import shlex
import sys
from pathlib import Path

from stereozero.errors import StereoZeroError
from stereozero.jobs import plan_jobs
from stereozero.plan import describe_plan, prepare, resolve
from stereozero.weights import needed_models


def read_plan():
    """Validate config and manifest; in the main process also write the plan that jobs read."""
    where = ", ".join(str(path) for path in workflow.configfiles)
    try:
        return prepare(config, where) if workflow.is_main_process else resolve(config, where)
    except StereoZeroError as error:
        sys.exit(f"\nNothing was started.\n{error}\n")


# Jobs run the stereozero that lies beside this Python, whether or not its environment is activated.
shell.prefix(f"PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH; ")

PLAN = read_plan()
JOBS = plan_jobs(PLAN)
ENVIRONMENT = workflow.source_path("../environment.yml")

if workflow.is_main_process:
    for line in describe_plan(PLAN):
        logger.info(line)


def jobs_of(*stages):
    """Return the jobs of some stages."""
    return [job for job in JOBS if job.stage.name in stages]


def markers_of(*stages):
    """Return the files that say these stages are done."""
    return [str(job.marker) for job in jobs_of(*stages)]


def needs_of(job):
    """Return a job's inputs. Nothing but checking inputs begins before all inputs are known to be good."""
    needs = [str(path) for path in job.needs]
    if job.stage.name != "inputs" and markers_of("inputs"):
        needs.append(ancient(str(PLAN.paths.inputs_checked)))
    return needs


def command(*arguments):
    """Return the arguments of a stereozero call that reads the plan."""
    return [*arguments, "--plan", str(PLAN.paths.plan)]


def scores_of(methods):
    """Return the files that say these methods' target views are scored, and their true views rendered."""
    return [*markers_of("truth"), *[str(job.marker) for job in jobs_of("evaluate") if job.variant in methods]]


def ablation_results(wildcards):
    """Return every ablation's files; a run without any has nothing to make, which is said."""
    if not PLAN.config.ablations:
        raise WorkflowError("The config has no section 'ablations'; benchmark/ablations.yaml has one.")
    return [str(PLAN.paths.ablation(name, suffix)) for name in PLAN.config.ablations for suffix in (".csv", ".png")]
