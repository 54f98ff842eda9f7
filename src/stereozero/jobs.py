"""From a plan to jobs: what Snakemake runs, in which order, and what makes a job run again.

A job makes one stage's artefacts, in one variant, for one batch of clips. When all of them are on disk it writes its
marker, the one file that Snakemake follows. The artefacts themselves are not Snakemake's outputs: it deletes the
outputs of a failed job, and a failed clip must not cost its batch the clips that succeeded.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stereozero.artifacts import damage, read_record, write_json
from stereozero.errors import InputError
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
        """Unique name, used as the rule's."""
        return "_".join(part for part in (self.stage.name, self.variant, self.batch) if part)

    @property
    def title(self) -> str:
        """One line for a person who follows the run."""
        what = f"{self.stage.name} {self.variant}".strip()
        clips = "1 clip" if len(self.clip_ids) == 1 else f"{len(self.clip_ids)} clips"
        return f"{what}: {clips} (batch {self.batch})"

    @property
    def arguments(self) -> list[str]:
        """Arguments of the command line that runs the job, without the plan's path."""
        variant = ["--variant", self.variant] if self.variant else []
        return [self.stage.name, *variant, "--marker", str(self.marker), "--clips", *self.clip_ids]


def plan_jobs(plan: Plan) -> list[Job]:
    """Return every job of a plan; a job stands behind those it needs."""
    producers: dict[Path, Path] = {}  # folder of an artefact -> marker of the job that makes it
    jobs: list[Job] = []
    for stage in STAGES:
        for variant in stage.variants(plan):
            for batch, clips in plan.batches(stage.clips(plan, variant)).items():
                job = _job(plan, stage, variant, batch, clips, producers)
                jobs.append(job)
    return jobs


def _job(plan: Plan, stage: Stage, variant: str, batch: str, clips: Sequence[Clip], producers: dict[Path, Path]) -> Job:
    marker = plan.paths.marker(stage.name, variant, batch)
    artifacts = [artifact for clip in clips for artifact in stage.artifacts(plan, variant, clip)]
    needs = {producers.get(path.parent, path) for artifact in artifacts for path in artifact.inputs.values()}
    producers.update({artifact.folder: marker for artifact in artifacts})
    return Job(
        stage=stage,
        variant=variant,
        batch=batch,
        clip_ids=tuple(clip.clip_id for clip in clips),
        marker=marker,
        needs=tuple(sorted(needs)),
        fingerprint=stage.fingerprint(plan, variant, clips),
        log=plan.paths.log(stage.name, variant, batch),
    )


def write_marker(path: Path, plan: Plan, stage: Stage, variant: str, clips: Sequence[Clip]) -> None:
    """Write a job's marker: every artefact of the job with its files' checksums."""
    folders = [artifact.folder for clip in clips for artifact in stage.artifacts(plan, variant, clip)]
    write_json(path, {str(folder.relative_to(plan.paths.root)): _checksums(folder) for folder in folders})


def _checksums(folder: Path) -> dict[str, str]:
    record = read_record(folder) or {"files": {}}
    return {name: facts["sha256"] for name, facts in record["files"].items()}


def damaged_artifacts(root: Path) -> dict[Path, dict[str, str]]:
    """Check every artefact of a run that some job has finished against its checksums.

    Args:
        root: the run's folder.

    Returns:
        For each job's marker: folder of a damaged artefact -> what is wrong. Empty where nothing is.

    Raises:
        InputError: there is no run in the folder.
    """
    if not (root / "jobs").is_dir():
        raise InputError(f"{root}: is not the folder of a run (no 'jobs' in it); name one such as results/demo")
    findings: dict[Path, dict[str, str]] = {}
    for marker in sorted((root / "jobs").rglob("*.json")):
        folders = json.loads(marker.read_text(encoding="utf-8"))
        problems = {name: damage(root / name) for name in folders}
        findings[marker] = {name: problem for name, problem in problems.items() if problem}
    return findings
