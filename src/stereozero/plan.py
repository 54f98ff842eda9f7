"""The plan of a run: config and manifest, validated together, and what follows from them for each clip.

The main Snakemake process resolves the plan once and writes it to ``plan.json`` when it starts jobs; every job reads it
from there, so that neither an edit of the config during a run nor a dry run of the edited config can reach into it.
"""

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from stereozero.artifacts import canonical_json, write_json
from stereozero.backbones.variants import Variant
from stereozero.config import Config, parse_config
from stereozero.config.depths import GivenDepth, WorldDepth
from stereozero.config.methods import AnyMethod
from stereozero.depth.models import missing_files as missing_depth_files
from stereozero.depth.settings import DerivedDepth, ProgressiveDepth
from stereozero.errors import InputError
from stereozero.generator import advice, misfits, model_files, size_misfits, variant_of
from stereozero.manifest import Clip, ClipKind, load_manifest, rows_as_json
from stereozero.paths import RunPaths
from stereozero.stereo.settings import SamplerSettings
from stereozero.weights import generator_model

log = logging.getLogger(__name__)

MOST_BATCHES = 64
"""Batches of a run at most: with some thirty rules, what Snakemake plans in seconds."""


def side_of(strength: float) -> Literal["left", "right"]:
    """Return which eye's view the target of a strength is."""
    return "right" if strength > 0 else "left"


@dataclass(frozen=True)
class Plan:
    """One run, resolved.

    Attributes:
        config: validated configuration.
        clips: validated manifest rows, in the manifest's order.
    """

    config: Config
    clips: tuple[Clip, ...]

    @cached_property
    def paths(self) -> RunPaths:
        """Where this run's artefacts lie."""
        return RunPaths(Path(self.config.results), self.config.run)

    @cached_property
    def _by_id(self) -> Mapping[str, Clip]:
        return {clip.clip_id: clip for clip in self.clips}

    @cached_property
    def variant(self) -> Variant:
        """Fixed choices of the generator's model; only for a plan with a generator."""
        return variant_of(self.config.generator)

    @cached_property
    def model_inputs(self) -> Mapping[str, Path]:
        """Name -> files that stand for the generator's weights: a saved folder's, or the record of fetched ones."""
        name = generator_model(self.config.generator)
        return {"model": self.paths.weights(name)} if name else model_files(self.config.generator)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all that a table or page of the whole run may show."""
        config = self.config.model_dump(mode="json", exclude={"batch_size", "device", "warp_timing", "discard_latents"})
        return hashlib.sha256(canonical_json([config, rows_as_json(self.clips)]).encode()).hexdigest()[:16]

    def published(self, table: str) -> Path:
        """Return the file with the paper's numbers of a table, e.g. ``table1``."""
        return Path(self.config.published) / f"{table}.csv"

    def clip(self, clip_id: str) -> Clip:
        """Return the clip with this id.

        Raises:
            InputError: the manifest has no such clip.
        """
        if clip_id not in self._by_id:
            raise InputError(f"clip '{clip_id}' is not in {self.config.manifest}")
        return self._by_id[clip_id]

    def method(self, name: str) -> AnyMethod:
        """Return the method variant with this name.

        Raises:
            InputError: the config has no such method.
        """
        if name not in self.config.methods:
            raise InputError(f"method '{name}' is not in the config; known: {', '.join(self.config.methods)}")
        return self.config.methods[name]

    def strength(self, clip: Clip, method: str | None = None) -> float:
        """Return the strength in percent of width: the method variant's own, else the row's, else the run's."""
        own = getattr(self.config.methods[method], "strength", None) if method else None
        return next(value for value in (own, clip.strength, self.config.strength) if value is not None)

    def target_side(self, clip: Clip, method: str | None = None) -> Literal["left", "right"]:
        """Return which eye's view the target is; the source is the other's."""
        return side_of(self.strength(clip, method))

    def supplies(self, depth: str, clip: Clip) -> bool:
        """True if a depth variant can give a disparity for the clip."""
        match self.config.depths[depth]:
            case GivenDepth():
                return clip.disparity is not None
            case WorldDepth():
                return clip.kind is ClipKind.WORLD
            case DerivedDepth(depth=changed):
                return self.supplies(changed, clip)
            case ProgressiveDepth(levels=levels):
                return all(self.supplies(level, clip) for _, level in levels)
            case estimated:
                return self.has_source(clip) and (estimated.rendered or clip.kind is not ClipKind.WORLD)

    def depth_levels(self, depth: str) -> Mapping[int, str]:
        """Return first sampling step, of 50 -> the variant that gives the disparity from it on, the finest last."""
        settings = self.config.depths[depth]
        return dict(settings.levels) if isinstance(settings, ProgressiveDepth) else {0: depth}

    def disparity(self, depth: str, clip: Clip) -> Path:
        """Return the disparity of a depth variant; of a progressive one, the finest."""
        *_, finest = self.depth_levels(depth).values()
        return self.paths.disparity(finest, clip.clip_id)

    def dissolve_step(self, depth: str, clip: Clip) -> int | Literal["adaptive"] | None:
        """Return the step to which a derived variant dissolves a clip: the row's own, else the variant's."""
        step = self.config.depths[depth].dissolve
        if step is None or clip.dissolve_step is None:
            return None if step == "row" else step
        return clip.dissolve_step

    def seed(self, clip: Clip) -> int:
        """Return the seed of everything random in a clip: the row's own, else the run's."""
        return self.config.seed if clip.seed is None else clip.seed

    def has_source(self, clip: Clip) -> bool:
        """True if there is or will be a source video; without a generator an image stays an image."""
        return clip.kind is not ClipKind.IMAGE or self.config.generator is not None

    def has_truth(self, clip: Clip) -> bool:
        """True if the true target view of the clip is known."""
        return clip.kind is ClipKind.WORLD or clip.truth_video is not None

    def runs(self, method: str, clip: Clip) -> bool:
        """True if a method variant has all it needs of the clip."""
        if not self.has_source(clip):
            return False
        settings = self.config.methods[method]
        match settings.kind:
            case "mono-copy":
                return True
            case "ground-truth":
                return self.has_truth(clip)
            case "finished":
                return self.finished_video(method, clip) is not None
            case "warp-fill":
                return self.supplies(settings.depth, clip)
            case "stereodiffusion" | "external":
                return self.supplies(settings.depth, clip) and method not in self.obstacles
            case "vae-limit":
                return self.has_truth(clip)
            case "ours":
                return self.supplies(settings.depth, clip)

    def finished_video(self, method: str, clip: Clip) -> Path | None:
        """Return the file with an outside method's result for a clip: of its folder, else of the manifest's pair."""
        folder = self.config.methods[method].folder
        if folder is None:
            return self.paths.inputs(clip.clip_id) / "target.mkv" if clip.kind is ClipKind.PAIR else None
        files = (Path(folder) / f"{clip.clip_id}{suffix}" for suffix in (".mkv", ".mp4", ".mov", ".avi"))
        return next((path for path in files if path.is_file()), None)

    @cached_property
    def obstacles(self) -> Mapping[str, str]:
        """Methods that can't run on this machine, for lack of weights or an environment, with the reason."""
        candidates = {
            name: method
            for name, method in self.config.methods.items()
            if method.kind in ("stereodiffusion", "external")
        }
        if not candidates:
            return {}
        from stereozero.baselines.readiness import obstacle

        place = (self.paths.programs, self.config.device)
        reasons = {name: obstacle(method, *place) for name, method in candidates.items()}
        return {name: reason for name, reason in reasons.items() if reason}

    def method_clips(self, method: str) -> list[Clip]:
        """Return the clips a method variant runs on."""
        return [clip for clip in self.clips if self.runs(method, clip)]

    def sampler(self, method: str, clip: Clip) -> SamplerSettings:
        """Return how a method of the kind 'ours' samples a clip: the row's settings go before the method's."""
        row = {"last_warp_step": clip.last_warp_step, "disparity_power": clip.disparity_power}
        given = {name: value for name, value in row.items() if value is not None}
        return SamplerSettings(**(self.config.methods[method].sampler.model_dump() | given))

    def synthesises_both(self, method: str) -> bool:
        """True if a method makes both views, so that the clip's own source and truth are not of its pair."""
        return getattr(self.config.methods[method], "views", "target") == "both"

    def source_view(self, method: str, clip: Clip) -> Path:
        """Return the view that a method's target makes a pair with."""
        if self.synthesises_both(method):
            return self.paths.target(method, clip.clip_id) / "source.mkv"
        return self.paths.source_video(clip)

    def guidance(self, method: str) -> float:
        """Return the scale of guidance that a method of the kind 'ours' samples with."""
        own = self.config.methods[method].guidance
        return self.config.generator.guidance if own is None else own

    def trajectory(self, method: str, clip: Clip) -> Path:
        """Return the source's latents that a method of the kind 'ours' starts from."""
        if clip.kind is ClipKind.IMAGE:
            return self.paths.trajectory(clip.clip_id)
        folder = self.paths.given_trajectory(self.config.methods[method].trajectory, clip.clip_id)
        return folder / "trajectory.safetensors"

    def batches(self, clips: Iterable[Clip]) -> dict[str, list[Clip]]:
        """Group clips into batches, by a hash of their ids.

        The number of batches is a power of two, so a clip more or less leaves the others where they were (until the
        number doubles). A batch holds about ``batch_size`` clips or fewer, or more where there would be over
        :data:`MOST_BATCHES`. Neither results nor paths of artefacts depend on it.

        Returns:
            Batch name, such as ``3of8``, to the batch's clips in the manifest's order; no batch is empty.
        """
        count = 1
        while count * self.config.batch_size < len(self.clips) and count < MOST_BATCHES:
            count *= 2
        groups: dict[str, list[Clip]] = {}
        for clip in clips:
            number = int(hashlib.sha256(clip.clip_id.encode()).hexdigest(), 16) % count
            groups.setdefault(f"{number + 1}of{count}", []).append(clip)
        return dict(sorted(groups.items()))


def resolve(content: Mapping[str, Any], where: str) -> Plan:
    """Validate a configuration and the manifest it names.

    Args:
        content: the configuration as read from YAML.
        where: what to call it in messages.

    Raises:
        InputError: lists every problem of both.
    """
    problems: list[str] = []
    config, clips = None, None
    try:
        config = parse_config(content, where)
    except InputError as error:
        problems.append(str(error))
    if isinstance(content.get("manifest"), str):
        try:
            clips = load_manifest(Path(content["manifest"]))
        except InputError as error:
            problems.append(str(error))
    if problems or config is None or clips is None:
        raise InputError("\n".join(problems))
    plan = Plan(config, tuple(clips))
    mismatches = list(_mismatches(plan))
    if mismatches:
        raise InputError(f"{where} and {config.manifest} don't fit:" + "".join(f"\n  {text}" for text in mismatches))
    return plan


def _mismatches(plan: Plan) -> Iterator[str]:
    from stereozero.metrics.networks import missing_files

    yield from missing_files(plan.config.scoring)
    yield from missing_depth_files(plan.config.depths)
    if not plan.published("table1").is_file():
        yield f"published: there is no {plan.published('table1')}; name the repository's benchmark/published"
    images = [clip for clip in plan.clips if clip.kind is ClipKind.IMAGE]
    if plan.config.generator is not None:
        check = misfits if images else size_misfits
        yield from check(plan.config.generator, plan.config.video)
    for name, method in plan.config.methods.items():
        if method.kind in ("ours", "vae-limit") and plan.config.generator is None:
            yield f"methods.{name}: {method.kind} samples with the generator; add the section 'generator'"
    needed = {method.depth for method in plan.config.methods.values() if hasattr(method, "depth")}
    finished = {name: method for name, method in plan.config.methods.items() if method.kind == "finished"}
    yield from _adapter_mistakes(plan)
    for name in plan.config.methods:
        if name in plan.obstacles:
            continue
        if any(map(plan.has_source, plan.clips)) and not plan.method_clips(name):
            yield f"methods.{name}: no clip has what this method needs; remove it or add such clips"
            if name in finished and finished[name].folder is not None:
                yield f"methods.{name}.folder: {finished[name].folder} has no video named after a clip of the manifest"
    yield from _early_last_warps(plan)
    for clip in plan.clips:
        if clip.kind in (ClipKind.VIDEO, ClipKind.WORLD) and needed and not any(plan.supplies(d, clip) for d in needed):
            yield (
                f"clip '{clip.clip_id}': none of the depth variants in use ({', '.join(sorted(needed))}) can give its "
                "disparity; name a file in the column 'disparity' or use another depth variant"
            )
        if clip.kind is ClipKind.PAIR and not any(method.folder is None for method in finished.values()):
            yield f"clip '{clip.clip_id}': is a finished pair; add a method of the kind 'finished' to score it"


def _adapter_mistakes(plan: Plan) -> Iterator[str]:
    external = {name: method for name, method in plan.config.methods.items() if method.kind == "external"}
    if not external:
        return
    from stereozero.baselines.readiness import mistake

    for name, method in external.items():
        problem = mistake(method)
        if problem:
            yield f"methods.{name}: {problem}"


def _early_last_warps(plan: Plan) -> Iterator[str]:
    ours = [name for name, method in plan.config.methods.items() if method.kind == "ours"]
    for clip in plan.clips:
        for name in ours:
            restart = plan.config.methods[name].restart_steps
            if clip.last_warp_step is not None and clip.last_warp_step < restart:
                yield (
                    f"clip '{clip.clip_id}': last_warp_step {clip.last_warp_step} lies before the end of the restart "
                    f"of methods.{name}, which takes the steps 0 to {restart - 1}; set it to {restart} or more"
                )


def check_writable(folder: Path) -> None:
    """Make sure that results can be written.

    Raises:
        InputError: the folder can't be made or written to.
    """
    probe = folder / ".write-test"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise InputError(
            f"results folder {folder}: can't write there ({error.strerror}); "
            "change its permissions or set 'results' in the config to another folder"
        ) from error


def write_plan(plan: Plan, path: Path) -> None:
    """Write a plan. Only who is about to start a run's jobs may write ``plan.paths.plan``: running jobs read it."""
    write_json(path, {"config": plan.config.model_dump(mode="json"), "clips": rows_as_json(plan.clips)})


def prepare(content: Mapping[str, Any], where: str) -> Plan:
    """Resolve a configuration and make sure results can be written.

    Raises:
        InputError: lists every problem of config and manifest, or says why nothing can be written.
    """
    plan = resolve(content, where)
    check_writable(plan.paths.root)
    return plan


def read_started_plan(content: Mapping[str, Any]) -> Plan:
    """Read the plan with which the jobs of a run were started.

    Args:
        content: the run's configuration. It may have been edited since; only the place of the run is taken from it.

    Raises:
        InputError: there is no such plan.
    """
    results = content.get("results", Config.model_fields["results"].default)
    return read_plan(RunPaths(Path(results), content["run"]).plan)


def read_plan(path: Path) -> Plan:
    """Read a plan that :func:`write_plan` wrote.

    Raises:
        InputError: the file is missing or is not a plan.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Plan(
            Config.model_validate(content["config"]), tuple(Clip.model_validate(row) for row in content["clips"])
        )
    except OSError as error:
        raise InputError(
            f"{path}: can't be read ({error.strerror}); Snakemake writes it when it starts jobs, "
            "and 'stereozero plan CONFIG --output FILE' writes one to run a stage by hand"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: is not a plan of this version ({error}); have it written anew") from error


def _licences(plan: Plan) -> Iterator[str]:
    runs = {name: method for name, method in plan.config.methods.items() if name not in plan.obstacles}
    for name, method in runs.items():
        if method.kind in ("stereodiffusion", "external"):
            from stereozero.baselines.readiness import declaration_of

            yield f"method '{name}': {declaration_of(method).licence}"


def _unused_dissolve_steps(plan: Plan) -> Iterator[str]:
    rows = [clip for clip in plan.clips if clip.dissolve_step is not None]
    derived = [depth for depth in plan.config.depths.values() if isinstance(depth, DerivedDepth)]
    if rows and all(depth.dissolve is None for depth in derived):
        yield f"dissolve_step of {len(rows)} clips is not used: no depth variant has the key 'dissolve'"


def describe_plan(plan: Plan) -> list[str]:
    """Return lines that say which clips each method runs on, for a person to read before a run."""
    images = [clip for clip in plan.clips if clip.kind is ClipKind.IMAGE]
    lines = [f"run '{plan.config.run}': {len(plan.clips)} clips, {len(plan.config.methods)} methods"]
    videos = sum(map(plan.has_source, plan.clips))
    if videos < len(plan.clips):
        lines.append(
            f"{len(images)} clips start from an image and go as far as the inputs stage: no generator is configured"
        )
    elif images:
        lines.append(f"{len(images)} clips are generated from images")
        lines.extend(advice(plan.config.generator, images))
    for name in plan.config.methods:
        count = len(plan.method_clips(name))
        if name in plan.obstacles:
            lines.append(f"method '{name}' is not run: {plan.obstacles[name]}")
        elif count < videos:
            lines.append(f"method '{name}' runs on {count} of {videos} videos: the others lack what it needs")
    lines.extend(_unused_dissolve_steps(plan))
    lines.extend(_licences(plan))
    return lines
