# Helpers only. What runs, in which order and when again is decided in src/stereozero/jobs.py; rules call the CLI.

import os
import shlex
import sys
from pathlib import Path

from stereozero.costs import measured_costs
from stereozero.errors import StereoZeroError
from stereozero.gpu_lease import device_ids
from stereozero.jobs import plan_jobs, readers
from stereozero.plan import describe_plan, prepare, read_started_plan, write_plan
from stereozero.resources import describe_work, job_groups, job_requests
from stereozero.upkeep import RERUN_CODE, bring_to_present, remove_void_markers
from stereozero.weights import needed_models


def read_plan():
    """Validate config and manifest; a process that runs jobs for another takes the plan that they were started with."""
    where = ", ".join(str(path) for path in workflow.configfiles)
    try:
        return prepare(config, where) if workflow.is_main_process else read_started_plan(config)
    except StereoZeroError as error:
        sys.exit(f"\nNothing was started.\n{error}\n")


# Jobs run the stereozero that lies beside this Python, whether or not its environment is activated.
shell.prefix(f"PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH; ")

PLAN = read_plan()
JOBS = plan_jobs(PLAN)
REQUESTS = job_requests(PLAN, JOBS, measured_costs(PLAN, JOBS) if workflow.is_main_process else {})
GROUPS = job_groups(JOBS, REQUESTS)
ENVIRONMENT = workflow.source_path("../environment.yml")

if workflow.is_main_process:
    remove_void_markers(PLAN, JOBS, Path(".snakemake"))
    bring_to_present(PLAN)
    for line in (*describe_plan(PLAN), *describe_work(PLAN, JOBS, REQUESTS)):
        logger.info(line)
    is_on_this_machine = workflow.resource_settings.nodes is None
    if not is_on_this_machine:
        workflow.register_resource("gpu_jobs", 1)
    elif "gpu" not in workflow.global_resources:
        workflow.register_resource("gpu", max(1, len(device_ids())))


# Of the jobs with a GPU that a cluster runs in one submission, each has it to itself; other submissions don't count.
resource_scopes:
    gpu_jobs="local",


onstart:
    # Not in a dry run, nor beside a run that goes on: Snakemake holds its lock by now.
    if workflow.is_main_process:
        write_plan(PLAN, PLAN.paths.plan)
    # Snakemake starts the jobs of a stage whose code changed only if asked to; they then may not take what is there.
    if "code" in map(str, workflow.rerun_triggers):
        os.environ[RERUN_CODE] = "1"


def jobs_of(*stages):
    """Return the jobs of some stages."""
    return [job for job in JOBS if job.stage.name in stages]


def markers_of(*stages):
    """Return the files that say these stages are done."""
    return [str(job.marker) for job in jobs_of(*stages)]


JOBS_OF_RULE = {}  # name of a rule -> batch -> job
for job in JOBS:
    JOBS_OF_RULE.setdefault(job.rule, {})[job.batch] = job

HAS_INPUTS = bool(jobs_of("inputs"))


def of_batch(rule_name, facts):
    """Return a function of a rule's wildcards that gives some facts about the job of that batch."""
    return lambda wildcards: facts(JOBS_OF_RULE[rule_name][wildcards.batch])


def asked_for(rule_name, resource):
    """Return a function of a rule's wildcards that says how much of a resource the job of that batch asks for."""

    def ask(wildcards, attempt):
        keep_going_in_groups()
        return getattr(REQUESTS[JOBS_OF_RULE[rule_name][wildcards.batch].name], resource)(attempt)

    return ask


def keep_going_in_groups():
    """Have the Snakemake that runs a group's jobs on a cluster's node go on after one has failed.

    It gets no such option from the Snakemake that submits it, and its scheduler, which copies its settings when it is
    made, exists only when jobs are about to start.
    """
    if not workflow.is_main_process and workflow.scheduler is not None:
        workflow.scheduler.keepgoing = True


def group_of(job):
    """Return the name of the group that a cluster runs a job with, or None."""
    return GROUPS[job.name]


def gpu_resources(job):
    """Return how a job asks for its GPU: as the profile of a cluster says in gpu_partition and gpu_gres."""
    count = REQUESTS[job.name].gpu
    profile = workflow.resource_settings.default_resources or {}
    if not count:
        return {"gpu": 0}
    own = {name: profile[name].raw.strip("'\"") for name in ("gpu_gres", "gpu_partition") if name in profile}
    asked = {"gres": own["gpu_gres"]} if "gpu_gres" in own else {"gpu": count}
    where = {"slurm_partition": own["gpu_partition"]} if "gpu_partition" in own else {}
    return {**asked, **where, "gpu_jobs": 1}


def needs_of(job):
    """Return a job's inputs. Nothing but checking inputs begins before all inputs are known to be good."""
    needs = [str(path) for path in job.needs]
    if HAS_INPUTS and job.stage.name != "inputs":
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


def depth_table_results(table):
    """Return what one of the tables that compare depths leaves; a run without its methods has none, which is said."""

    def results(wildcards):
        if not getattr(PLAN.config.depth_tables, table):
            raise WorkflowError(f"The config has no section 'depth_tables' with {table}; benchmark/depth.yaml has one.")
        return [str(PLAN.paths.depth_table(table, suffix)) for suffix in (".csv", ".md")]

    return results


def discard_marker(job):
    """Return the file that says a job's latents were deleted."""
    return PLAN.paths.marker("discard", job.rule, job.batch)


def kept(table):
    """Return where a table of the run's folder is kept."""
    return str(PLAN.paths.benchmark / table.relative_to(PLAN.paths.tables))
