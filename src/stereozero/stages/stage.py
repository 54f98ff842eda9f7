"""What a stage is, and how one job of it runs."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stereozero.artifacts import Artifact, Restore, canonical_json, make_all, refuse
from stereozero.errors import InputError
from stereozero.manifest import Clip
from stereozero.plan import Plan
from stereozero.source_code import code_fingerprint


@dataclass(frozen=True)
class Stage:
    """One stage of the pipeline, as rules and the command line see it.

    Importing a stage's module must stay quick: its ``make`` imports torch and other heavy libraries when it is called.

    Attributes:
        name: also the subcommand and the log folder.
        version: raised whenever the same input makes other bytes; results of older versions are then made again.
        help: one line for the command line.
        variants: the plan's variants of this stage; ``("",)`` for a stage without variants.
        artifacts: what the stage leaves for one variant of one clip; empty if the stage is not for this clip.
        make: writes one artefact's files into a folder and returns notes for its record, or None.
        needs_gpu: True if the stage profits from an accelerator, or a function of the plan that says so.
        discardable: files that may be deleted after their last use; only stages that get an accelerator read them.
    """

    name: str
    version: int
    help: str
    variants: Callable[[Plan], Sequence[str]]
    artifacts: Callable[[Plan, str, Clip], Sequence[Artifact]]
    make: Callable[[Plan, str, Clip, Artifact, Path], Mapping[str, Any] | None]
    needs_gpu: bool | Callable[[Plan], bool] = False
    discardable: tuple[str, ...] = ()

    def uses_gpu(self, plan: Plan) -> bool:
        """True if the plan's jobs of this stage are to get an accelerator: Snakemake's resource ``gpu``."""
        needed = self.needs_gpu(plan) if callable(self.needs_gpu) else self.needs_gpu
        return needed and plan.config.device != "cpu"

    @property
    def code(self) -> str:
        """Fingerprint of the code that makes this stage's artefacts; for information, in no key."""
        return code_fingerprint(self.make.__module__)

    def clips(self, plan: Plan, variant: str) -> list[Clip]:
        """Return the clips that this stage has something to do for."""
        return [clip for clip in plan.clips if self.artifacts(plan, variant, clip)]

    def run(self, plan: Plan, variant: str, clips: Sequence[Clip], restore: Restore = refuse) -> None:
        """Make the artefacts of some clips, as far as they are not there.

        Args:
            plan: the plan.
            variant: the stage's variant.
            clips: clips of the plan.
            restore: makes an input good that is missing or damaged.

        Raises:
            InputError: the variant is unknown.
            StageError: some clips failed; the others are on disk.
        """
        if variant not in self.variants(plan):
            known = ", ".join(repr(name) for name in self.variants(plan))
            raise InputError(f"{self.name}: there is no variant '{variant}' in the plan; known: {known}")
        work = [(clip, artifact) for clip in clips for artifact in self.artifacts(plan, variant, clip)]
        owners = {artifact.folder: clip for clip, artifact in work}

        def make(artifact: Artifact, folder: Path) -> Mapping[str, Any]:
            notes = self.make(plan, variant, owners[artifact.folder], artifact, folder)
            return {**(notes or {}), "stage_code": self.code}

        make_all(self.name, self.version, [artifact for _, artifact in work], make, restore)

    def fingerprint(self, artifacts: Sequence[Artifact]) -> str:
        """Return a hash that changes whenever a job's artefacts would: Snakemake reruns a job whose params changed."""
        digest = hashlib.sha256(str(self.version).encode())
        for artifact in artifacts:
            settings = canonical_json(artifact.parameters), canonical_json([artifact.clip_id, *sorted(artifact.inputs)])
            digest.update("\n".join(settings).encode())
        return digest.hexdigest()[:16]
