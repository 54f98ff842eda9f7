"""What a scheduler is asked for, which jobs a cluster runs together, and what a run takes, said before it starts."""

import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from stereozero.costs import Cost, expected_cost, needs_gpu
from stereozero.jobs import Job, read_marker
from stereozero.plan import Plan

START_SECONDS = 10
"""Of a job, for Snakemake, Python and loading a network."""

SNAKEMAKE_MB = 500
"""Beside the job itself: what a cluster's job runs to start it."""

LIGHT_SECONDS = 1200
"""A job that is expected to take longer is submitted alone."""

SAFETY = 3
MINUTES_AT_LEAST = 10


@dataclass(frozen=True)
class Request:
    """What a scheduler is asked for.

    Attributes:
        cost: what one clip is expected to take.
        clips: number of them.
        gpu: number of GPUs, 0 or 1.
        is_measured: True if the cost is from this run's records.
    """

    cost: Cost
    clips: int
    gpu: int
    is_measured: bool

    @property
    def seconds(self) -> float:
        """Expected time of the job [s]."""
        return START_SECONDS + self.clips * self.cost.seconds

    @property
    def is_short(self) -> bool:
        """True if the job is not worth a submission of its own."""
        return self.seconds < LIGHT_SECONDS

    @property
    def is_light(self) -> bool:
        """True if the job is short and needs no GPU: several of them may run side by side."""
        return self.is_short and not self.gpu

    def mem_mb(self, attempt: int) -> int:
        """Return the memory to ask for [MB]: half as much again as expected, more with each attempt."""
        expected = SNAKEMAKE_MB + self.cost.base_mb + self.cost.clip_mb
        return attempt * math.ceil(1.5 * expected / 100) * 100

    def runtime(self, attempt: int) -> int:
        """Return the time to ask for [minutes]: a multiple of what is expected, more with each attempt."""
        return attempt * max(MINUTES_AT_LEAST, math.ceil(SAFETY * self.seconds / 60))


def job_requests(plan: Plan, jobs: Sequence[Job], measured: Mapping[tuple[str, str], Cost]) -> dict[str, Request]:
    """Return what each job asks for.

    Args:
        plan: the plan.
        jobs: its jobs.
        measured: (stage, variant) -> cost of those that were measured.

    Returns:
        Job's name -> request.
    """
    by_rule: dict[str, Request] = {}  # of one clip
    for job in jobs:
        if job.rule not in by_rule:
            cost = measured.get((job.stage.name, job.variant))
            gpu = int(needs_gpu(plan, job.stage, job.variant))
            expected = cost or expected_cost(plan, job.stage.name, job.variant)
            by_rule[job.rule] = Request(expected, 1, gpu, cost is not None)
    return {job.name: replace(by_rule[job.rule], clips=len(job.clip_ids)) for job in jobs}


def job_groups(jobs: Sequence[Job], requests: Mapping[str, Request]) -> dict[str, str | None]:
    """Say which short jobs a cluster may run together, in one submission.

    Long jobs are better spread over nodes, so they are submitted alone. A GPU must not be held by jobs that need none,
    so those with a GPU have groups of their own. A group must not wait for a job that waits for the group itself, so
    jobs are grouped by how many submissions lie before them: whatever leads from a group to another job and back would
    raise that number. Jobs with a GPU never follow each other in a group: how many a cluster runs together, one after
    the other, is for its profile to say (``group-components``).

    Args:
        jobs: all jobs, each behind those it needs.
        requests: job's name -> what it asks for.

    Returns:
        Job's name -> name of its group, or None for a job on its own.
    """
    groups: dict[str, str | None] = {}
    behind: dict[Path, int] = {}  # marker -> submissions before a job that needs it
    for job in jobs:
        gate = 0 if job.stage.name == "inputs" else 1  # all other work waits for the check of all inputs
        level = max([gate, *(behind[need] for need in job.needs if need in behind)])
        request = requests[job.name]
        groups[job.name] = f"{'gpu' if request.gpu else 'light'}{level}" if request.is_short else None
        behind[job.marker] = level if request.is_light else level + 1
    return groups


def describe_work(plan: Plan, jobs: Sequence[Job], requests: Mapping[str, Request]) -> list[str]:
    """Return lines that say what is left to do and what that takes, for a person to read before a run."""
    left = [job for job in jobs if read_marker(job.marker)["fingerprint"] != job.fingerprint]
    if not left:
        return []
    asked = [requests[job.name] for job in left]
    gigabytes = sum(request.clips * request.cost.disk_mb for request in asked) / 1000
    is_measured = all(request.is_measured for request in asked)
    source = "by what this run measured" if is_measured else "some of it estimated, see docs/cluster.md"
    return [
        f"{len(left)} of {len(jobs)} jobs have no result yet: about {_times(asked)}, {gigabytes:.1f} GB ({source})",
        _submissions(left, requests, job_groups(jobs, requests)),
        *_lack_of_space(plan, gigabytes),
    ]


def _times(asked: Sequence[Request]) -> str:
    units = {1: "of a GPU", 0: "of a core"}
    seconds = {name: sum(one.seconds for one in asked if one.gpu == gpu) for gpu, name in units.items()}
    return " and ".join(f"{_duration(time)} {unit}" for unit, time in seconds.items() if time)


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{math.ceil(seconds / 60)} minutes"


def _submissions(left: Sequence[Job], requests: Mapping[str, Request], groups: Mapping[str, str | None]) -> str:
    light = [job for job in left if requests[job.name].is_light]
    together = len({(groups[job.name], job.batch) for job in light})
    gpu = sum(requests[job.name].gpu for job in left)
    short = sum(requests[job.name].gpu for job in left if requests[job.name].is_short)
    kinds = {
        f"at most {gpu} jobs with a GPU ({short} of them short, which can go together)": gpu,
        f"{len(left) - gpu - len(light)} long jobs": len(left) - gpu - len(light),
        f"at most {together} groups of {len(light)} light jobs": together,
    }
    return f"submissions on a cluster: {', '.join(kind for kind, count in kinds.items() if count)}"


def _lack_of_space(plan: Plan, gigabytes: float) -> Iterator[str]:
    folder = next(path for path in (plan.paths.root.absolute(), *plan.paths.root.absolute().parents) if path.exists())
    free = shutil.disk_usage(folder).free / 1e9
    if free < gigabytes:
        yield (
            f"{folder} has {free:.1f} GB left, too little: make room, or set 'results' in the config to another folder"
        )
