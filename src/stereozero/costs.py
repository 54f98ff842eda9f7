"""What one clip of a stage takes: time, memory, disk, and whether on a GPU.

Costs come from the records of the run, where a job of the same stage and variant is done, else from the table
:data:`COSTS`, scaled to the run. docs/cluster.md says where its numbers come from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from stereozero.artifacts import read_record
from stereozero.config.scoring import NETWORK_METRICS
from stereozero.jobs import Job, read_marker
from stereozero.plan import Plan
from stereozero.stages.stage import Stage


@dataclass(frozen=True)
class Cost:
    """What one clip of a stage takes.

    Attributes:
        seconds: of a core, or of a GPU where the stage uses one.
        base_mb: memory of the process, whatever the clip [MB].
        clip_mb: memory that grows with the clip's pixels and frames [MB].
        disk_mb: what is left on disk [MB].
    """

    seconds: float
    base_mb: float
    clip_mb: float
    disk_mb: float


REFERENCE = 16 * 576 * 1024
"""Frames x height x width of the clips that COSTS are for."""

NETWORK_MB = 16_000
"""Memory of a process that loads a published network of about 10 GB [MB]."""

COSTS: Mapping[str, Cost] = {
    "inputs": Cost(5, 100, 400, 30),
    "generate": Cost(75, NETWORK_MB, 500, 130),
    "world": Cost(3.4, 100, 350, 150),
    "truth": Cost(2.6, 100, 400, 4),
    "estimate": Cost(15, NETWORK_MB, 500, 80),
    "depth": Cost(1.9, 100, 250, 38),
    "derive": Cost(15, NETWORK_MB, 500, 38),
    "depth-pictures": Cost(2, 150, 300, 2),
    "trajectory": Cost(40, NETWORK_MB, 500, 130),
    "stereo": Cost(340, NETWORK_MB, 500, 10),
    "baseline": Cost(7.5, 1_000, 500, 5),
    "vae-limit": Cost(5, NETWORK_MB, 500, 5),
    "convert": Cost(600, NETWORK_MB, 1_000, 5),
    "evaluate": Cost(35, 150, 450, 0.1),
    "evaluate-networks": Cost(90, 6_000, 1_000, 0.1),
    "deliver": Cost(4.2, 100, 150, 2),
}
"""Stage -> cost of a clip of the size REFERENCE, with networks on one A100. Two stages have a second row."""

SAMPLING = ("generate", "trajectory", "stereo")
SAMPLING_STEPS = 50
"""Their costs in the table are for that many steps."""

SMALL_NETWORK_MB = 1_000
SMALL_NETWORK_ON_A_CORE = 25
"""Time of a small network on a core, the only kind that a CPU is for, against a published one on an A100: measured."""

_SAMPLED_CLIPS = 4


def needs_gpu(plan: Plan, stage: Stage, variant: str) -> bool:
    """True if a stage's jobs of a variant are to get a GPU."""
    if stage.uses_gpu(plan):
        return True
    if stage.name != "baseline" or plan.config.device == "cpu":
        return False
    # 'auto' fills holes on the CPU, which is quick; 'cuda' insists on a GPU.
    kind = plan.config.methods[variant].kind
    return kind == "vae-limit" or (kind == "warp-fill" and plan.config.device == "cuda")


def expected_cost(plan: Plan, stage: str, variant: str) -> Cost:
    """Return the table's cost, scaled to the run's clips, steps and device."""
    config, cost = plan.config, COSTS[_row(plan, stage, variant)]
    if stage in SAMPLING and config.generator is not None:
        cost = replace(cost, seconds=cost.seconds * config.generator.steps / SAMPLING_STEPS)
    if config.device == "cpu" and cost.base_mb == NETWORK_MB:
        cost = replace(cost, seconds=cost.seconds * SMALL_NETWORK_ON_A_CORE, base_mb=SMALL_NETWORK_MB)
    size = config.video.frames * config.video.height * config.video.width / REFERENCE
    return Cost(cost.seconds * size, cost.base_mb, cost.clip_mb * size, cost.disk_mb * size)


def _row(plan: Plan, stage: str, variant: str) -> str:
    """Return the key of the table's row."""
    if stage == "baseline" and plan.config.methods[variant].kind == "vae-limit":
        return "vae-limit"
    if stage == "evaluate" and NETWORK_METRICS.keys() & set(plan.config.metrics):
        return "evaluate-networks"
    return stage


def measured_costs(plan: Plan, jobs: Sequence[Job]) -> dict[tuple[str, str], Cost]:
    """Return (stage, variant) -> cost for those of which a job is done, from the records of some of its clips."""
    costs: dict[tuple[str, str], Cost] = {}
    for job in jobs:
        key = (job.stage.name, job.variant)
        if key not in costs and (cost := _measured_cost(plan, job)):
            costs[key] = cost
    return costs


def _measured_cost(plan: Plan, job: Job) -> Cost | None:
    """Return the cost of a clip by the records of a job; None if it isn't done, or ran on another kind of device."""
    clips = set(job.clip_ids[:_SAMPLED_CLIPS])
    folders = [plan.paths.root / name for name in read_marker(job.marker)["artifacts"]]
    records = [read_record(folder) for folder in folders if folder.name in clips]
    if not records or None in records:
        return None
    if needs_gpu(plan, job.stage, job.variant) and any(record["made"]["device"] == "cpu" for record in records):
        return None
    return Cost(
        seconds=sum(record["made"]["seconds"] for record in records) / len(clips),
        base_mb=max(record["made"]["peak_memory_mb"]["host"] for record in records),
        clip_mb=0,
        disk_mb=sum(facts["bytes"] for record in records for facts in record["files"].values()) / 1e6 / len(clips),
    )
