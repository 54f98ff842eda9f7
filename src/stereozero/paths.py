"""Where every artefact of a run lies. Rules, stages and tests ask here; nobody else joins paths.

Layout under ``<results>/<run>/``, one folder a clip at the end of each path::

    plan.json                          the resolved config and manifest that the jobs started last read
    weights/<model>/                   model.json: what a fetched model is; where it came from in source.json
    inputs/<clip>/                     image.png, end_image.png | source.mkv, truth.mkv, target.mkv
    generated/<clip>/                  trajectory.safetensors, source.mkv, preview.mp4, for some all_frames.mkv
    world/<clip>/                      source.mkv, geometry.safetensors, caption.txt
    truth/<strength>/<clip>/           target.mkv, disoccluded.mkv
    estimates/<variant>/<clip>/        raw.safetensors, what a depth network says; of DepthCrafter latents.safetensors
    depth/<variant>/<clip>/            disparity.safetensors, preview.mp4, of some derived variants raw.safetensors
    depth-pictures/<clip>/             depths.png, all depth variants side by side
    trajectories/<how>/<clip>/         trajectory.safetensors of a given or rendered video
    targets/<method>/<clip>/           target.mkv, for some methods blank.mkv, latents.safetensors
    delivery/<method>/<clip>/          side by side, anaglyph, ...
    scores/<method>/<metric>/<clip>/   scores.json
    tables/                            scores.csv; table1 and paired, .csv and .md each
    tables/table3.csv, table3.md, ...  of each table that compares depths, with pictures table3-<clip>.png
    tables/ablations/                  <name>.csv, .md and .png of each ablation
    tables/figure7/                    <clip>.png of each clip
    gallery/                           index.html and contact sheets
    jobs/<stage>/<variant>/<batch>.json  written when a job is done: what Snakemake follows
    logs/<stage>/<variant>/<batch>.log   one log a job
    logs/convert/<method>/<clip>.program.log  what another's program printed

``<results>/downloads/`` and ``<results>/programs/`` are shared by all runs.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from stereozero.manifest import Clip, ClipKind


def strength_name(strength: float) -> str:
    """Return a strength as a folder name: 4.0 -> '4', -2.5 -> 'left2p5'."""
    digits = f"{abs(strength):.6g}".replace(".", "p").replace("-", "m")
    return digits if strength > 0 else f"left{digits}"


@dataclass(frozen=True)
class RunPaths:
    """Paths of one run.

    Attributes:
        results: the folder that all runs share.
        run: the run's name.
    """

    results: Path
    run: str

    @cached_property
    def root(self) -> Path:
        """Folder of this run."""
        return self.results / self.run

    @property
    def plan(self) -> Path:
        """The resolved config and manifest; written when jobs start, and by nothing else."""
        return self.root / "plan.json"

    @property
    def downloads(self) -> Path:
        """Downloaded files, by checksum, shared by all runs."""
        return self.results / "downloads"

    @property
    def programs(self) -> Path:
        """Programs of others with their environments, shared by all runs."""
        return self.results / "programs"

    def program_log(self, method: str, clip_id: str) -> Path:
        """What a program of others printed while it worked on a clip; also kept when it failed."""
        return self.root / "logs" / "convert" / method / f"{clip_id}.program.log"

    def marker(self, stage: str, variant: str, batch: str) -> Path:
        """Written when a job is done, with its artefacts' checksums; ``variant`` may be empty."""
        return self.root / "jobs" / stage / variant / f"{batch}.json"

    def log(self, stage: str, variant: str, batch: str) -> Path:
        """Log of one job; ``variant`` may be empty."""
        return self.root / "logs" / stage / variant / f"{batch}.log"

    def inputs(self, clip_id: str) -> Path:
        """Folder of a clip's checked and normalised inputs."""
        return self.root / "inputs" / clip_id

    @property
    def inputs_checked(self) -> Path:
        """Written when the inputs of every clip have been checked; all later work waits for it."""
        return self.root / "jobs" / "inputs-checked.json"

    def world(self, clip_id: str) -> Path:
        """Folder of a rendered clip."""
        return self.root / f"world/{clip_id}"

    def weights(self, model: str) -> Path:
        """Checksum and size of a fetched model's file; written when it has been verified."""
        return self.root / "weights" / model / "model.json"

    def generated(self, clip_id: str) -> Path:
        """Folder of a generated clip."""
        return self.root / "generated" / clip_id

    def trajectory(self, clip_id: str) -> Path:
        """A generated clip's latents after every step; see :mod:`stereozero.trajectory`."""
        return self.generated(clip_id) / "trajectory.safetensors"

    def given_trajectory(self, how: str, clip_id: str) -> Path:
        """Folder of the latents that a given video could have come from."""
        return self.root / "trajectories" / how / clip_id

    def all_frames(self, clip: Clip) -> Path:
        """A generated clip with every frame of its trajectory; the source view may lack fixed frames at its ends."""
        return self.generated(clip.clip_id) / ("source.mkv" if clip.mode == "plain" else "all_frames.mkv")

    def source_video(self, clip: Clip) -> Path:
        """The source view."""
        folders = {ClipKind.WORLD: self.world, ClipKind.IMAGE: self.generated}
        return folders.get(clip.kind, self.inputs)(clip.clip_id) / "source.mkv"

    def truth(self, clip: Clip, strength: float) -> Path:
        """Folder of the true target view: rendered for a strength, or as the manifest gives it."""
        if clip.kind is ClipKind.WORLD:
            return self.root / f"truth/{strength_name(strength)}/{clip.clip_id}"
        return self.inputs(clip.clip_id)

    def truth_video(self, clip: Clip, strength: float) -> Path:
        """The true target view."""
        return self.truth(clip, strength) / ("target.mkv" if clip.kind is ClipKind.WORLD else "truth.mkv")

    def disoccluded(self, clip: Clip, strength: float) -> Path:
        """Mask of the true target's pixels that the source does not show; world clips only."""
        return self.truth(clip, strength) / "disoccluded.mkv"

    def depth_video(self, clip: Clip) -> Path:
        """The video whose depth is estimated: the source view, of a generated clip with every frame."""
        return self.all_frames(clip) if clip.kind is ClipKind.IMAGE else self.source_video(clip)

    def estimate(self, variant: str, clip_id: str) -> Path:
        """Folder of what a depth network says of a clip."""
        return self.root / "estimates" / variant / clip_id

    def depth(self, variant: str, clip_id: str) -> Path:
        """Folder of one depth variant of a clip."""
        return self.root / f"depth/{variant}/{clip_id}"

    def depth_picture(self, clip_id: str) -> Path:
        """Picture of a clip's depth variants, side by side."""
        return self.root / "depth-pictures" / clip_id / "depths.png"

    def disparity(self, variant: str, clip_id: str) -> Path:
        """Disparity file of one depth variant of a clip."""
        return self.root / f"depth/{variant}/{clip_id}/disparity.safetensors"

    def target(self, method: str, clip_id: str) -> Path:
        """Folder of one method's result for a clip."""
        return self.root / f"targets/{method}/{clip_id}"

    def target_video(self, method: str, clip_id: str) -> Path:
        """Target view that a method made of a clip."""
        return self.root / f"targets/{method}/{clip_id}/target.mkv"

    def delivery(self, method: str, clip_id: str) -> Path:
        """Folder of the files for players."""
        return self.root / f"delivery/{method}/{clip_id}"

    def scores_folder(self, method: str, metric: str, clip_id: str) -> Path:
        """Folder of one metric's scores of one method's result for a clip."""
        return self.root / f"scores/{method}/{metric}/{clip_id}"

    def scores(self, method: str, metric: str, clip_id: str) -> Path:
        """One metric's scores of one method's result for a clip."""
        return self.root / f"scores/{method}/{metric}/{clip_id}/scores.json"

    @property
    def tables(self) -> Path:
        """Folder of the tables."""
        return self.root / "tables"

    @property
    def benchmark(self) -> Path:
        """Folder of the tables that are kept with the repository; relative to where Snakemake is started."""
        return Path("benchmark") / "tables" / self.run

    def figure7(self, clip_id: str) -> Path:
        """A clip's picture of frames x methods."""
        return self.tables / "figure7" / f"{clip_id}.png"

    def depth_table(self, table: str, suffix: str) -> Path:
        """A table that compares depths (``.csv``, ``.md``), or its picture of a clip (``-<clip>.png``)."""
        return self.tables / f"{table}{suffix}"

    def ablation(self, name: str, suffix: str) -> Path:
        """An ablation's table (``.csv``, ``.md``) or picture (``.png``)."""
        return self.tables / "ablations" / f"{name}{suffix}"

    @property
    def gallery(self) -> Path:
        """Folder of the gallery page."""
        return self.root / "gallery"
