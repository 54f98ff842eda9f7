"""From a plan to jobs: what Snakemake runs, in which order, and what makes a job run again.

A job makes one stage's artefacts, in one variant, for one batch of clips. When all of them are on disk it writes its
marker, the one file that Snakemake follows. The artefacts themselves are not Snakemake's outputs: it deletes the
outputs of a failed job, and a failed clip must not cost its batch the clips that succeeded.
"""

import gc
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stereozero.artifacts import Artifact, read_record, write_json
from stereozero.manifest import Clip
from stereozero.plan import Plan
from stereozero.stages.baseline import BASELINE
from stereozero.stages.convert import CONVERT
from stereozero.stages.deliver import DELIVER
from stereozero.stages.depth import DEPTH
from stereozero.stages.depth_pictures import DEPTH_PICTURES
from stereozero.stages.derive import DERIVE
from stereozero.stages.estimate import ESTIMATE
from stereozero.stages.evaluate import EVALUATE
from stereozero.stages.generate import GENERATE
from stereozero.stages.inputs import INPUTS
from stereozero.stages.stage import Stage
from stereozero.stages.stereo import STEREO
from stereozero.stages.trajectory import TRAJECTORY
from stereozero.stages.world import TRUTH, WORLD

STAGES = (
    INPUTS,
    GENERATE,
    WORLD,
    TRUTH,
    ESTIMATE,
    DEPTH,
    DERIVE,
    DEPTH_PICTURES,
    TRAJECTORY,
    STEREO,
    BASELINE,
    CONVERT,
    EVALUATE,
    DELIVER,
)


@dataclass(frozen=True)
class Job:
    """One job of a per-clip stage.

    Attributes:
        stage: the stage.
        variant: the variant; empty if the stage has none.
        batch: the batch's name.
        clip_ids: the clips of the batch that the stage has something to do for.
        marker: file the job writes when all its artefacts are there.
        needs: markers of other jobs and files of the user that the artefacts are made from.
        fingerprint: changes when the job's artefacts would.
        log: the job's log.
    """

    stage: Stage
    variant: str
    batch: str
    clip_ids: tuple[str, ...]
    marker: Path
    needs: tuple[Path, ...]
    fingerprint: str
    log: Path

    @property
    def name(self) -> str:
        """Unique name."""
        return "_".join(part for part in (self.stage.name, self.variant, self.batch) if part)

    @property
    def rule(self) -> str:
        """Name of the rule that the jobs of all batches share."""
        return f"{self.stage.name}_{self.variant or 'batch'}"

    @property
    def title(self) -> str:
        """One line for a person who follows the run."""
        what = f"{self.stage.name} {self.variant}".strip()
        clips = "1 clip" if len(self.clip_ids) == 1 else f"{len(self.clip_ids)} clips"
        return f"{what}: {clips} (batch {self.batch})"

    @property
    def arguments(self) -> list[str]:
        """Arguments of the command line that runs the job, without the plan's path."""
        return self.arguments_with(self.marker)

    def arguments_with(self, marker: Path) -> list[str]:
        """Arguments for something else that is done with the job's clips, which writes a marker of its own."""
        variant = ["--variant", self.variant] if self.variant else []
        return [self.stage.name, *variant, "--marker", str(marker), "--clips", *self.clip_ids]


def plan_jobs(plan: Plan) -> list[Job]:
    """Return every job of a plan; a job stands behind those it needs."""
    variants = [(stage, variant) for stage in STAGES for variant in stage.variants(plan)]
    batches = plan.batches(plan.clips).items()
    gc.disable()  # a plan makes millions of short-lived objects without cycles; to look for cycles takes long
    try:
        return [job for batch, clips in batches for job in _jobs_of_batch(plan, variants, batch, clips)]
    finally:
        gc.enable()


def _jobs_of_batch(
    plan: Plan, variants: Sequence[tuple[Stage, str]], batch: str, clips: Sequence[Clip]
) -> Iterator[Job]:
    """Yield a batch's jobs. An artefact is made from those of its own clip, so no other batch is to be known."""
    producers: dict[Path, Path] = {}  # folder of an artefact -> marker of the job that makes it
    for stage, variant in variants:
        artifacts = [artifact for clip in clips for artifact in stage.artifacts(plan, variant, clip)]
        if artifacts:
            job = _job(plan, stage, variant, batch, artifacts, producers)
            producers |= {artifact.folder: job.marker for artifact in artifacts}
            yield job


def _job(
    plan: Plan, stage: Stage, variant: str, batch: str, artifacts: Sequence[Artifact], producers: Mapping[Path, Path]
) -> Job:
    files = {path for artifact in artifacts for path in artifact.inputs.values()}
    return Job(
        stage=stage,
        variant=variant,
        batch=batch,
        clip_ids=tuple(dict.fromkeys(artifact.clip_id for artifact in artifacts)),
        marker=plan.paths.marker(stage.name, variant, batch),
        needs=tuple(sorted({producers.get(path.parent, path) for path in files})),
        fingerprint=stage.fingerprint(artifacts),
        log=plan.paths.log(stage.name, variant, batch),
    )


def readers(jobs: Sequence[Job]) -> dict[Path, list[Path]]:
    """Return marker -> markers of the jobs that read what its job makes."""
    found: dict[Path, list[Path]] = {}
    for job in jobs:
        for need in job.needs:
            found.setdefault(need, []).append(job.marker)
    return found


def write_marker(path: Path, plan: Plan, stage: Stage, variant: str, clips: Sequence[Clip]) -> None:
    """Write a job's marker: the job's fingerprint, and every artefact of it with its files' checksums."""
    artifacts = [artifact for clip in clips for artifact in stage.artifacts(plan, variant, clip)]
    folders = [artifact.folder for artifact in artifacts]
    checksums = {str(folder.relative_to(plan.paths.root)): _checksums(folder) for folder in folders}
    write_json(path, {"fingerprint": stage.fingerprint(artifacts), "artifacts": checksums})


def read_marker(path: Path) -> Mapping[str, Any]:
    """Return a marker's fingerprint and artefacts; both empty if there is no marker that can be read."""
    nothing = {"fingerprint": "", "artifacts": {}}
    try:
        return nothing | json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return nothing


def _checksums(folder: Path) -> dict[str, str]:
    record = read_record(folder) or {"files": {}}
    return {name: facts["sha256"] for name, facts in record["files"].items()}
