"""The run's configuration: typed, validated, every error with the key it stands at.

``config.yaml`` (or any file given with ``--configfile``) is parsed into :class:`Config`. Unknown keys, references to
variants that don't exist and values out of range are refused, all of them in one message, before any job starts.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from stereozero.depth.settings import DepthCrafterDepth, DerivedDepth, EstimatedDepth, ProgressiveDepth
from stereozero.errors import InputError
from stereozero.stereo.settings import PRESETS, SamplerSettings


def _not_zero(strength: float) -> float:
    if strength == 0:
        raise ValueError("0 asks for no stereo at all; use the method kind 'mono-copy' for that")
    return strength


Strength = Annotated[
    float,
    Field(ge=-100, le=100, description="largest shift in percent of image width; > 0: right target, < 0: left target"),
    AfterValidator(_not_zero),
]


def _without_braces(folder: str) -> str:
    if set(folder) & set("{}"):
        raise ValueError(f"{folder!r} has braces, which Snakemake takes for wildcards; choose another folder")
    return folder


FolderForRules = Annotated[str, AfterValidator(_without_braces)]
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
Name = Annotated[str, Field(pattern=NAME_PATTERN)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Fit(StrEnum):
    """How a picture of another shape is brought to the run's size; see :func:`stereozero.images.normalise_image`."""

    COVER = "cover"
    CONTAIN = "contain"
    SHORT_SIDE = "short-side"


class VideoFormat(_Section):
    """Size and length of every clip that the pipeline generates or renders. Finished videos keep their own."""

    height: int = Field(64, ge=16, le=4096, multiple_of=2, description="pixels")
    width: int = Field(96, ge=16, le=8192, multiple_of=2, description="pixels")
    frames: int = Field(16, ge=1, le=1024, description="of a clip")
    fps: int = Field(8, ge=1, le=120, description="frames a second")
    fit: Fit = Field(Fit.COVER, description="how conditioning images are brought to height x width")


def _as_text(value: Any) -> Any:
    """YAML reads ``variant: 512`` as a number."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class DynamiCrafterGenerator(_Section):
    """DynamiCrafter, an official model (`variant`) or a saved `folder`. Empty keys take the model's own preset."""

    kind: Literal["dynamicrafter"]
    variant: Annotated[Literal["1024", "512", "512-interp", "256"] | None, BeforeValidator(_as_text)] = Field(
        None, description="official model; its weights are fetched once (10.4 GB)"
    )
    checkpoint: str | None = Field(None, description="file with the variant's weights, instead of fetching them")
    folder: str | None = Field(None, description="saved model, such as the embedded one, instead of a variant")
    steps: int = Field(50, ge=1, le=1000, description="DDIM steps")
    eta: float = Field(1.0, ge=0, le=1, description="share of the noise that each step adds anew; 0 adds none")
    guidance: float = Field(7.5, ge=1, le=100, description="classifier-free guidance; 1 is none")
    guidance_rescale: float | None = Field(None, ge=0, le=1, description="pulls the guided spread back; 0 is none")
    dynamic_rescale: float | None = Field(None, gt=0, le=1, description="the latents' scale at high noise; 1 is none")
    spacing: Literal["trailing", "uniform"] | None = Field(None, description="of the steps over the training steps")
    frame_stride: int | None = Field(
        None, ge=1, le=64, description="the model's fs; 256: more is faster, others: slower"
    )
    dtype: Literal["fp32", "fp16", "bf16"] = Field("fp32", description="of weights and networks; latents stay fp32")
    guidance_in_one_batch: bool = Field(True, description="false: two calls, slower, less memory")
    vae_frames: int = Field(1, ge=1, le=1024, description="frames in one call of the VAE; fewer take less memory")
    offload: bool = Field(False, description="only the network in use on the device: least memory, slower")
    compile: bool = Field(False, description="torch.compile: minutes at the start, then faster")

    @model_validator(mode="after")
    def _names_one_model(self) -> Self:
        if (self.variant is None) == (self.folder is None):
            found = "neither" if self.variant is None else "both"
            raise ValueError(f"needs either 'variant' (1024, 512, 512-interp, 256) or 'folder', found {found}")
        if self.checkpoint is not None and self.variant is None:
            raise ValueError("'checkpoint' needs 'variant', which says what model the file holds")
        return self


class GivenDepth(_Section):
    """The disparity file or video that the manifest names for the clip."""

    estimator: Literal["given"]
    invert: bool = Field(False, description="the file's 0 is nearest")


class WorldDepth(_Section):
    """The renderer's own, exact disparity; for clips of the synthetic world."""

    estimator: Literal["world"]


# One kind so far; with a second this becomes a union told apart by 'kind', as depths and methods are.
AnyGenerator = DynamiCrafterGenerator
AnyDepth = GivenDepth | WorldDepth | EstimatedDepth | DerivedDepth | ProgressiveDepth
Depth = Annotated[AnyDepth, Field(discriminator="estimator")]


class MonoCopy(_Section):
    """Control: the target is the source. Scores best where a metric rewards doing nothing."""

    kind: Literal["mono-copy"]


class GroundTruth(_Section):
    """Control: the true target view, where it is known."""

    kind: Literal["ground-truth"]
    strength: Strength | None = Field(None, description="overrides the run's strength")


class Finished(_Section):
    """An outside method's results: the manifest's finished pairs, or a `folder` of videos for clips of the run."""

    kind: Literal["finished"]
    folder: str | None = Field(None, description="with <clip_id>.mkv, .mp4, .mov or .avi; empty: the manifest's pairs")
    layout: Literal["target", "full-sbs", "half-sbs", "full-tb", "half-tb"] = Field(
        "target", description="of the folder's videos: the target view alone, or both, the left one left or above"
    )
    swap_eyes: bool = Field(False, description="of the folder's videos: the right view is left or above")


class WarpFill(_Section):
    """Depth-image-based rendering: forward warp of the source view, then hole filling."""

    kind: Literal["warp-fill"]
    depth: str = Field(description="name of a variant in 'depths'")
    fill: Literal["edge-stretch", "background", "mirror", "telea", "navier-stokes", "temporal"] = "background"
    warp: Literal["whole", "subpixel"] = Field("subpixel", description="shift by whole pixels or by fractions")
    halo: int = Field(
        1, ge=0, le=16, description="columns beside a hole that are filled along with it: mixed edge pixels"
    )
    strength: Strength | None = Field(None, description="overrides the run's strength")


class VaeLimit(_Section):
    """Control: the true target view, encoded and decoded. No method that decodes all of its pixels can do better."""

    kind: Literal["vae-limit"]
    strength: Strength | None = Field(None, description="overrides the run's strength")


class Ours(SamplerSettings):
    """StereoCrafter-Zero: the target view is sampled with the generator. The sampler's keys change the preset."""

    kind: Literal["ours"]
    depth: str = Field(description="name of a variant in 'depths'")
    preset: Literal["best", "paper", "reference"] = Field("best", description="where the sampler's keys start from")
    strength: Strength | None = Field(None, description="overrides the run's strength")
    trajectory: Literal["noised", "inverted"] = Field(
        "inverted", description="latents of a given video: the forward process with one noise, or DDIM inversion"
    )
    guidance: float | None = Field(None, ge=1, le=100, description="empty: the generator's")
    views: Literal["target", "both"] = Field(
        "target", description="both: the source is taken for the view in the middle, and both are synthesised"
    )

    @model_validator(mode="before")
    @classmethod
    def _start_from_preset(cls, given: Any) -> Any:
        chosen = given.get("preset", "best") if isinstance(given, Mapping) else None
        return {**PRESETS[chosen], **given} if chosen in PRESETS else given

    @property
    def sampler(self) -> SamplerSettings:
        """The sampler's part of the settings."""
        return SamplerSettings(**{name: getattr(self, name) for name in SamplerSettings.model_fields})


class StereoDiffusion(_Section):
    """StereoDiffusion with an image model in diffusers' layout, frame by frame; the released code's defaults."""

    kind: Literal["stereodiffusion"]
    depth: str = Field(description="name of a variant in 'depths'")
    model: str = Field(description="folder with unet, scheduler and, without 'encoders', vae, text_encoder, tokenizer")
    encoders: str | None = Field(None, description="generator's folder whose vae and conditioner the UNet belongs to")
    steps: int = Field(50, ge=1, le=1000, description="DDIM steps")
    guidance: float = Field(7.5, ge=1, le=100, description="classifier-free guidance; 1 is none")
    null_text_steps: int = Field(10, ge=0, le=1000, description="of each embedding; 0: plain DDIM inversion")
    shift_step: int = Field(10, ge=0, le=1000, description="first shift follows this step, others every so many steps")
    attention: Literal["uni", "bi", "none"] = Field("uni", description="whose keys and values self-attention sees")
    attention_step: int = Field(10, ge=0, le=1000, description="step from which it does")
    noise_in_holes: bool = Field(False, description="instead of 0, at the first shift")
    height: int | None = Field(512, ge=8, le=4096, description="the model works at; empty: the clip's own")
    width: int | None = Field(512, ge=8, le=8192, description="the model works at; empty: the clip's own")
    frames_at_once: int = Field(1, ge=1, le=1024, description="in one call of the UNet; fewer take less memory")
    strength: Strength | None = Field(None, description="overrides the run's strength")

    @model_validator(mode="after")
    def _has_both_sides(self) -> Self:
        if (self.height is None) != (self.width is None):
            raise ValueError("give both 'height' and 'width', or neither of them")
        return self


class External(_Section):
    """Another method, through an adapter: one of this package's, or a Python file of your own."""

    kind: Literal["external"]
    name: str = Field(description="propainter, immersepro, rodynrf, or a Python file; see docs/adding-a-baseline.md")
    depth: str = Field(description="name of a variant in 'depths'")
    settings: dict[str, bool | int | float | str] = Field({}, description="the adapter's own settings")
    checkout: str | None = Field(None, description="your own checkout of the program at the adapter's commit")
    environment: str | None = Field(None, description="your own environment for it: a folder with bin/python")
    timeout_minutes: float | None = Field(None, gt=0, description="for one call; empty: the adapter's")
    strength: Strength | None = Field(None, description="overrides the run's strength")


AnyMethod = MonoCopy | GroundTruth | VaeLimit | Finished | WarpFill | StereoDiffusion | External | Ours
Method = Annotated[AnyMethod, Field(discriminator="kind")]
Metric = Literal[
    "disparity",
    "achieved",
    "disparity_error",
    "fidelity",
    "fidelity_masked",
    "siou",
    "siou_masked",
    "colour",
    "flicker",
    "window",
    "clip_text",
    "clip_frame",
    "met3r",
]
NETWORK_METRICS = {"clip_text": "clip", "clip_frame": "clip", "met3r": "met3r"}
"""Metrics that run a network -> the key of 'scoring' that names it. They are computed only when asked for."""
Format = Literal[
    "full-sbs",
    "half-sbs",
    "full-tb",
    "half-tb",
    "anaglyph-dubois",
    "anaglyph-colour",
    "anaglyph-half-colour",
    "anaglyph-grey",
]


class Delivery(_Section):
    """Files for players and headsets."""

    formats: list[Format] = Field(
        ["full-sbs", "half-sbs", "half-tb", "anaglyph-dubois"], description="files to write for each clip and method"
    )
    behind_screen: float = Field(
        2 / 3, ge=0, le=1, description="share of the clip's disparity range that is put behind the screen"
    )


class ClipScoring(_Section):
    """The CLIP model of the metrics clip_text and clip_frame: a published one (`variant`) or a saved `folder`."""

    variant: Literal["openai-vit-b-32"] | None = Field(None, description="published model; fetched once (0.6 GB)")
    checkpoint: str | None = Field(None, description="file with the variant's weights, instead of fetching them")
    folder: str | None = Field(None, description="saved model, such as the embedded one, instead of a variant")
    batch: int = Field(64, ge=1, le=4096, description="frames at a time")

    @model_validator(mode="after")
    def _names_one_model(self) -> Self:
        if (self.variant is None) == (self.folder is None):
            found = "neither" if self.variant is None else "both"
            raise ValueError(f"needs either 'variant' (openai-vit-b-32) or 'folder', found {found}")
        if self.checkpoint is not None and self.variant is None:
            raise ValueError("'checkpoint' needs 'variant', which says what model the file holds")
        return self


class Met3rScoring(_Section):
    """What the metric met3r is computed with: geometry of a pair, image features, and how they are upsampled."""

    geometry: Literal["stereo", "raft", "dust3r", "mast3r"] = Field(
        "stereo", description="stereo: the pair's own disparity, no weights, only for rectified pairs"
    )
    geometry_checkpoint: str | None = Field(
        None, description="official file of raft, dust3r (2.3 GB) or mast3r (2.8 GB); empty: fetched once"
    )
    features: Literal["dinov2", "dino16"] = Field("dinov2", description="dinov2: any DINOv2-style model of torch.hub")
    hub: str = Field(
        "facebookresearch/dinov2:7764ea0f912e53c92e82eb78a2a1631e92725fc8",
        description="torch.hub repository: owner/name:commit, or a local folder with a hubconf.py",
    )
    entry: str = Field("dinov2_vits14", description="of the repository")
    feature_checkpoint: str | None = Field(
        None, description="dino_deitsmall16_pretrain.pth (empty: fetched once), or the entry's (empty: the hub's own)"
    )
    upsampler: Literal["featup", "bilinear", "nearest", "bicubic"] = Field("bilinear", description="of the features")
    featup_checkpoint: str | None = Field(
        None, description="FeatUp's dino16_jbu_stack_cocostuff.ckpt, or dinov2_...; empty: fetched once"
    )
    featup_norm: bool = Field(True, description="the file has a norm over channels; those in FeatUp's no_norm do not")
    shorter_side: int | None = Field(
        None,
        ge=16,
        le=4096,
        description="px, to which frames are brought; both sides are then rounded to valid multiples",
    )
    raster_side: int = Field(256, ge=16, le=2048, description="px, of the image that dust3r's or mast3r's points give")
    radius: float = Field(0.01, gt=0, le=1, description="of a point; the raster reaches from -1 to 1")
    points_per_pixel: int = Field(10, ge=1, le=100, description="nearest points that a pixel blends")
    batch: int = Field(8, ge=1, le=1024, description="pairs at a time; memory grows with it and with the frames")


class Scoring(_Section):
    """Networks that metrics run."""

    clip: ClipScoring | None = Field(None, description="for clip_text and clip_frame")
    met3r: Met3rScoring | None = Field(None, description="for met3r")


class Tables(_Section):
    """How scores are summarised."""

    bootstrap_samples: int = Field(2000, ge=100, le=100_000, description="resamples of the clips")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="of the intervals")
    compare_with: str | None = Field(
        None, description="method that paired.csv subtracts; empty: 'ours', else the first that is no control"
    )


class DepthTables(_Section):
    """The paper's tables that compare depths: the methods that make their rows."""

    table3: list[str] = Field([], description="estimators")
    table4: list[str] = Field([], description="dissolve steps, simple and complex scenes apart")
    table6: list[str] = Field([], description="resolutions")


class WarpTiming(_Section):
    """Table 5: what is timed."""

    sizes: list[Annotated[int, Field(ge=8, le=4096)]] = Field(
        [128, 512, 1024], min_length=1, description="width = height, pixels"
    )
    repeats: int = Field(20, ge=1, le=1000, description="timed executions")
    loop_repeats: int = Field(1, ge=1, le=100, description="for the nested loop, which takes minutes at 1024")


def _with_disparity(metrics: list[str]) -> list[str]:
    if "disparity" not in metrics:
        raise ValueError("'disparity' is missing; delivery and the convergence rest on the disparity achieved")
    return metrics


class Config(_Section):
    """One run."""

    run: Name = Field(description="results lie under <results>/<run>/")
    results: FolderForRules = Field("results", description="folder, relative to where Snakemake is started")
    manifest: str = Field(description="CSV file with the clips")
    published: FolderForRules = Field("benchmark/published", description="folder with the paper's tables")
    seed: int = Field(123, ge=0, lt=2**63, description="of everything random; rows may have their own")
    strength: Strength = 4.0
    batch_size: int = Field(
        16,
        ge=1,
        le=10_000,
        description="clips a job, on average; more, if there would be over 128 batches",
    )
    discard_latents: bool = Field(
        False, description="delete trajectories and other latents after their last use; what needs them makes them anew"
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: CUDA where there is any")
    weights_folder: str | None = Field(None, description="for fetched weights; default: the Hugging Face cache")
    video: VideoFormat = VideoFormat()
    generator: AnyGenerator | None = Field(None, description="makes videos of images; without it they stay images")
    depths: dict[Name, Depth] = Field(default={}, validate_default=True)
    methods: dict[Name, Method] = Field(default={}, validate_default=True)
    metrics: Annotated[list[Metric], AfterValidator(_with_disparity)] = Field(
        [name for name in get_args(Metric) if name not in NETWORK_METRICS],
        description="each where a clip has what it needs; disparity must be among them",
    )
    scoring: Scoring = Scoring()
    delivery: Delivery = Delivery()
    tables: Tables = Tables()
    ablations: dict[Name, list[str]] = Field(
        {}, description="methods that one table and picture compare; the last is what the others are subtracted from"
    )
    depth_tables: DepthTables = DepthTables()
    warp_timing: WarpTiming = WarpTiming()


def read_yaml(path: Path) -> Mapping[str, Any]:
    """Read a YAML configuration file without validating it.

    Raises:
        InputError: the file is missing or does not hold keys and values.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: can't be read ({error.strerror}); give an existing YAML file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(content, Mapping):
        raise InputError(f"{path}: must hold keys and values (like 'run: demo'), found {type(content).__name__}")
    return content


def parse_config(content: Mapping[str, Any], where: str) -> Config:
    """Validate configuration values.

    Args:
        content: as read from YAML.
        where: what to call the source in messages.

    Raises:
        InputError: lists every problem with its key.
    """
    try:
        config = Config.model_validate(content)
    except ValidationError as error:
        raise InputError(_listing(where, describe(error, Config))) from error
    problems = [*_unknown_references(config), *_comparison_mistakes(config)]
    if problems:
        raise InputError(_listing(where, problems))
    return config


def _listing(where: str, problems: list[str]) -> str:
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return f"{where}: {count}" + "".join(f"\n  {problem}" for problem in problems)


def _unknown_references(config: Config) -> Iterator[str]:
    for name, method in config.methods.items():
        depth = getattr(method, "depth", None)
        if depth is not None and depth not in config.depths:
            yield f"methods.{name}.depth: there is no depth variant '{depth}'{suggest(depth, config.depths)}"
    yield from _derivation_problems(config.depths)
    compared = config.tables.compare_with
    if compared is not None and compared not in config.methods:
        yield f"tables.compare_with: there is no method '{compared}'{suggest(compared, config.methods)}"
    for metric, network in NETWORK_METRICS.items():
        if metric in config.metrics and getattr(config.scoring, network) is None:
            yield f"metrics: '{metric}' runs a network: name it in 'scoring.{network}'"


def _comparison_mistakes(config: Config) -> Iterator[str]:
    for ablation, methods in config.ablations.items():
        yield from _method_mistakes(f"ablations.{ablation}", methods, config)
    for table, methods in config.depth_tables:
        if methods:
            yield from _method_mistakes(f"depth_tables.{table}", methods, config)
        for name in methods:
            if name in config.methods and not hasattr(config.methods[name], "depth"):
                yield f"depth_tables.{table}: method '{name}' takes no depth; name methods that do"


def _method_mistakes(key: str, methods: list[str], config: Config) -> Iterator[str]:
    for name in methods:
        if name not in config.methods:
            yield f"{key}: there is no method '{name}'{suggest(name, config.methods)}"
    if len(methods) < 2:
        yield f"{key}: compares {len(methods)} methods; name at least two of the run's"
    if len(set(methods)) < len(methods):
        yield f"{key}: names a method twice; name each once"


def _derivation_problems(depths: Mapping[str, AnyDepth]) -> Iterator[str]:
    for name, settings in depths.items():
        if isinstance(settings, ProgressiveDepth):
            yield from _level_problems(name, settings, depths)
        if not isinstance(settings, DerivedDepth):
            continue
        base = depths.get(settings.depth)
        if base is None:
            yield f"depths.{name}.depth: there is no depth variant '{settings.depth}'{suggest(settings.depth, depths)}"
        elif isinstance(base, ProgressiveDepth):
            yield f"depths.{name}.depth: '{settings.depth}' is progressive; derive from one of its levels"
        elif isinstance(base, DerivedDepth):
            yield (
                f"depths.{name}.depth: '{settings.depth}' is derived itself; name what it is derived from "
                f"('{base.depth}') and give all changes here"
            )
        if settings.dissolve is not None:
            yield from _dissolver_problems(name, settings, depths)


def _level_problems(name: str, settings: ProgressiveDepth, depths: Mapping[str, AnyDepth]) -> Iterator[str]:
    for index, (_, level) in enumerate(settings.levels):
        if level not in depths:
            yield f"depths.{name}.levels.{index}: there is no depth variant '{level}'{suggest(level, depths)}"
        elif isinstance(depths[level], ProgressiveDepth):
            yield f"depths.{name}.levels.{index}: '{level}' is progressive itself; name its levels here"


def _dissolver_problems(name: str, settings: DerivedDepth, depths: Mapping[str, AnyDepth]) -> Iterator[str]:
    crafters = [other for other, variant in depths.items() if isinstance(variant, DepthCrafterDepth)]
    if settings.dissolver is None and settings.depth in depths and settings.depth not in crafters:
        yield (
            f"depths.{name}: 'dissolve' needs 'dissolver', the name of a depthcrafter variant, because "
            f"'{settings.depth}' is none itself"
        )
    elif settings.dissolver is not None and settings.dissolver not in crafters:
        yield (
            f"depths.{name}.dissolver: there is no depthcrafter variant '{settings.dissolver}'"
            f"{suggest(settings.dissolver, crafters)}"
        )


def suggest(word: str, known: Iterator[str] | list[str] | Mapping[str, Any]) -> str:
    """Return '; did you mean ...?' or the list of what is known, to be put behind a message."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; known: {', '.join(names)}" if names else "; none is defined"


def describe(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """Return one line for each problem pydantic found: key, what is wrong, what would be right."""
    return [f"{_key(problem['loc'])}: {_reason(problem, model)}" for problem in error.errors()]


def _key(location: tuple[int | str, ...]) -> str:
    """Join a location to a dotted key. Pydantic adds the tag of a tagged union as a level of its own: leave it out."""
    parts = [str(part) for part in location if part != "[key]"]
    if len(parts) > 2 and parts[0] in ("methods", "depths"):
        del parts[2]
    return ".".join(parts) or "(top level)"


def _reason(problem: Mapping[str, Any], model: type[BaseModel]) -> str:
    given = problem["input"]
    match problem["type"]:
        case "extra_forbidden":
            return f"unknown key{suggest(str(problem['loc'][-1]), _known_keys(model, problem['loc']))}"
        case "missing":
            return "is missing"
        case "union_tag_not_found":
            return f"needs the key {problem['ctx']['discriminator']}"
        case "union_tag_invalid":
            tags = [tag.strip().strip("'") for tag in problem["ctx"]["expected_tags"].split(",")]
            tag, key = problem["ctx"]["tag"], problem["ctx"]["discriminator"].strip("'")
            return f"unknown {key} '{tag}'{suggest(tag, tags)}"
        case "string_pattern_mismatch":
            return (
                f"{given!r} is not a name: letters, digits, '-' and '_' only, at most 64, not beginning with '-' or '_'"
            )
        case "literal_error":
            close = difflib.get_close_matches(str(given), re.findall(r"'([^']*)'", problem["ctx"]["expected"]), n=1)
            hint = f"; did you mean '{close[0]}'?" if close else ""
            return f"input should be {problem['ctx']['expected']}, found {given!r}{hint}"
        case "value_error":
            return str(problem["ctx"]["error"])
        case _:
            message = problem["msg"][0].lower() + problem["msg"][1:]
            return f"{message}, found {given!r}"


def _known_keys(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Return the keys that are allowed beside the last part of ``location``."""
    section: Any = model
    if len(location) == 1:
        return list(model.model_fields)
    if location[0] == "methods":
        section = _tagged(AnyMethod, "kind", location[2])
    elif location[0] == "depths":
        section = _tagged(AnyDepth, "estimator", location[2])
    elif location[0] == "generator":
        section = AnyGenerator
    else:
        for part in location[:-1]:
            section = _section_in(section.model_fields[str(part)].annotation)
    return list(section.model_fields)


def _section_in(annotation: Any) -> type[BaseModel]:
    """Return the section that a key holds, also where the key may be empty."""
    return next(option for option in (annotation, *get_args(annotation)) if hasattr(option, "model_fields"))


def _tagged(union: Any, discriminator: str, tag: int | str) -> type[BaseModel]:
    return next(option for option in union.__args__ if tag in option.model_fields[discriminator].annotation.__args__)
