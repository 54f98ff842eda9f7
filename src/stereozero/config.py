"""The run's configuration: typed, validated, every error with the key it stands at.

``config.yaml`` (or any file given with ``--configfile``) is parsed into :class:`Config`. Unknown keys, references to
variants that don't exist and values out of range are refused, all of them in one message, before any job starts.
"""

import difflib
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

from stereozero.errors import InputError


def _not_zero(strength: float) -> float:
    if strength == 0:
        raise ValueError("0 asks for no stereo at all; use the method kind 'mono-copy' for that")
    return strength


Strength = Annotated[
    float,
    Field(ge=-100, le=100, description="largest shift in percent of image width; > 0: right target, < 0: left target"),
    AfterValidator(_not_zero),
]
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
AnyDepth = GivenDepth | WorldDepth
Depth = Annotated[AnyDepth, Field(discriminator="estimator")]


class MonoCopy(_Section):
    """Control: the target is the source. Scores best where a metric rewards doing nothing."""

    kind: Literal["mono-copy"]


class GroundTruth(_Section):
    """Control: the true target view, where it is known."""

    kind: Literal["ground-truth"]
    strength: Strength | None = Field(None, description="overrides the run's strength")


class Finished(_Section):
    """An outside method's result: the target video that the manifest names for the clip."""

    kind: Literal["finished"]


class WarpFill(_Section):
    """Depth-image-based rendering: forward warp of the source view, then hole filling."""

    kind: Literal["warp-fill"]
    depth: str = Field(description="name of a variant in 'depths'")
    fill: Literal["edge-stretch", "background", "mirror", "telea", "navier-stokes"] = "background"
    warp: Literal["whole", "subpixel"] = Field("subpixel", description="shift by whole pixels or by fractions")
    halo: int = Field(
        1, ge=0, le=16, description="columns beside a hole that are filled along with it: mixed edge pixels"
    )
    strength: Strength | None = Field(None, description="overrides the run's strength")


AnyMethod = MonoCopy | GroundTruth | Finished | WarpFill
Method = Annotated[AnyMethod, Field(discriminator="kind")]
Metric = Literal[
    "disparity",
    "disparity_error",
    "fidelity",
    "fidelity_masked",
    "siou",
    "siou_masked",
    "colour",
    "flicker",
    "window",
]
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


class Tables(_Section):
    """How scores are summarised."""

    bootstrap_samples: int = Field(2000, ge=100, le=100_000, description="resamples of the clips")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="of the intervals")


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
    results: str = Field("results", description="folder, relative to where Snakemake is started")
    manifest: str = Field(description="CSV file with the clips")
    published: str = Field("benchmark/published", description="folder with the paper's tables")
    seed: int = Field(123, ge=0, lt=2**63, description="of everything random; rows may have their own")
    strength: Strength = 4.0
    batch_size: int = Field(16, ge=1, le=10_000, description="clips a job, on average; changes no result and no path")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: CUDA where there is any")
    weights_folder: str | None = Field(None, description="for fetched weights; default: the Hugging Face cache")
    video: VideoFormat = VideoFormat()
    generator: AnyGenerator | None = Field(None, description="makes videos of images; without it they stay images")
    depths: dict[Name, Depth] = Field(default={}, validate_default=True)
    methods: dict[Name, Method] = Field(default={}, validate_default=True)
    metrics: Annotated[list[Metric], AfterValidator(_with_disparity)] = Field(
        list(get_args(Metric)), description="each where a clip has what it needs; disparity must be among them"
    )
    delivery: Delivery = Delivery()
    tables: Tables = Tables()
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
    problems = list(_unknown_references(config))
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
        section = model.model_fields[str(location[0])].annotation
    return list(section.model_fields)


def _tagged(union: Any, discriminator: str, tag: int | str) -> type[BaseModel]:
    return next(option for option in union.__args__ if tag in option.model_fields[discriminator].annotation.__args__)
