"""Keeping a run whole and small: check all checksums, make damaged artefacts again, let go of what was last used.

Files that only other stages read, a generator's latents above all, can be deleted after their last use. Their record
stays, with their checksums, so everything made from them stays current; a job that needs one after all makes it again.
"""

import json
import logging
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from stereozero.artifacts import (
    RECORD,
    Restore,
    damage,
    mark_discarded,
    read_record,
    refuse,
    sha256_of,
    unmark_discarded,
    write_json,
)
from stereozero.errors import InputError
from stereozero.jobs import STAGES, Job, read_marker
from stereozero.manifest import Clip
from stereozero.plan import Plan
from stereozero.stages.stage import Stage

log = logging.getLogger(__name__)

RERUN_CODE = "STEREOZERO_RERUN_CODE"
"""Environment variable: set if artefacts that other code made are to be made again; see rules/common.smk."""


def runs_in(folder: Path) -> list[Path]:
    """Return the runs in a folder: itself, or those directly in it.

    Raises:
        InputError: there is none.
    """
    candidates = [folder, *sorted(folder.glob("*"))]
    runs = [candidate for candidate in candidates if (candidate / "jobs").is_dir()]
    if not runs:
        raise InputError(
            f"{folder}: is not the folder of a run (no 'jobs' in it) nor of several; name one such as results/demo"
        )
    return runs


def damaged_artifacts(root: Path) -> dict[Path | None, dict[str, str]]:
    """Check every artefact of a run against its checksums.

    Args:
        root: the run's folder.

    Returns:
        For each job's marker, and under None for what no finished job lists: folder of a damaged artefact -> what is
        wrong. Empty where nothing is.
    """
    findings: dict[Path | None, dict[str, str]] = {}
    checked: set[str] = set()
    for marker in sorted(root.glob("jobs/*/**/*.json")):
        folders = read_marker(marker)["artifacts"]
        findings[marker] = _damaged(root, folders)
        checked |= folders.keys()
    recorded = {str(path.parent.relative_to(root)) for path in root.rglob(RECORD)}
    findings[None] = _damaged(root, sorted(recorded - checked))
    return findings


def _damaged(root: Path, folders: Sequence[str]) -> dict[str, str]:
    return {name: problem for name in folders if (problem := damage(root / name))}


def remove_void_markers(plan: Plan, jobs: Sequence[Job], snakemake: Path) -> None:
    """Remove markers of other settings than the plan's from a results folder that Snakemake does not know.

    Snakemake keeps the settings of finished jobs in its own folder, under the paths of their markers. Of a results
    folder that was moved or copied it knows nothing, and would take every marker there for current.

    Args:
        plan: the plan.
        jobs: its jobs.
        snakemake: Snakemake's own folder; what results folders it knows is noted there.
    """
    if any((snakemake / "locks").glob("*")):
        return  # a run is going on and needs its markers; this one will be refused
    note, place = snakemake / "stereozero-runs.json", str(plan.paths.root.absolute())
    known = json.loads(note.read_text(encoding="utf-8")) if note.is_file() else []
    if place in known:
        return
    for job in jobs:
        if job.marker.is_file() and read_marker(job.marker)["fingerprint"] != job.fingerprint:
            log.info("%s: was made with other settings; its job runs again", job.marker)
            job.marker.unlink()
    write_json(note, [*known, place])


def bring_to_present(plan: Plan) -> None:
    """Set the times of markers that lie in the future to now.

    A clock that jumped leaves them, or a file server whose clock is ahead. Snakemake would refuse every job that is
    made from them, because its output is older than its input.
    """
    now = time.time()
    for marker in [*plan.paths.root.glob("jobs/**/*.json"), *plan.paths.root.glob("weights/*/model.json")]:
        if marker.stat().st_mtime > now:
            os.utime(marker, (now, now))


def damaged_downloads(folder: Path) -> list[Path]:
    """Return the downloads whose content is not what their name, a SHA-256, says."""
    return [path for path in sorted(folder.glob("[!.]*")) if path.is_file() and sha256_of(path) != path.stem]


def restorer(plan: Plan, reader: Stage) -> Restore:
    """Return a function that makes an artefact again which a stage wants to read and finds damaged or deleted.

    It refuses files that no stage makes, and those that need an accelerator where the reader gets none.
    """

    def restore(path: Path, problem: str) -> None:
        owner = next(_owners(plan, path), None)
        if owner is None or (owner[0].uses_gpu(plan) and not reader.uses_gpu(plan)):
            refuse(path, problem)
        stage, variant, clip = owner
        log.warning("%s %s; making it again", path, problem)
        unmark_discarded(path.parent)
        stage.run(plan, variant, [clip], restorer(plan, stage))

    return restore


def _owners(plan: Plan, path: Path) -> Iterator[tuple[Stage, str, Clip]]:
    """Yield the stage, variant and clip whose artefact a file is. An artefact's folder has its clip's name."""
    clips = [clip for clip in plan.clips if clip.clip_id == path.parent.name]
    for stage in STAGES:
        for variant in stage.variants(plan):
            for clip in clips:
                if path.parent in [artifact.folder for artifact in stage.artifacts(plan, variant, clip)]:
                    yield stage, variant, clip


def forget_other_code(plan: Plan, stage: Stage, variant: str, clips: Sequence[Clip]) -> None:
    """Have artefacts made again that another state of their stage's code made."""
    for clip in clips:
        for artifact in stage.artifacts(plan, variant, clip):
            record = read_record(artifact.folder)
            if record is not None and record["notes"].get("stage_code") != stage.code:
                log.info("%s: was made by other code; it is made again", artifact.folder)
                (artifact.folder / RECORD).unlink()


def discard(plan: Plan, stage: Stage, variant: str, clips: Sequence[Clip]) -> None:
    """Delete the discardable files of some clips; their records then say so."""
    for clip in clips:
        for artifact in stage.artifacts(plan, variant, clip):
            names = [name for name in artifact.files if name in stage.discardable]
            freed = mark_discarded(artifact.folder, names)
            log.info("%s: deleted %s, %.1f MB", artifact.folder, ", ".join(names), freed / 1e6)
