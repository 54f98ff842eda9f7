"""What the configured generator makes of which clips, told without loading it: the plan is checked with this.

The frames that a clip's images fix are part of the trajectory, which always has the model's full length, but not of
the video (paper, C.3): an interpolation loses its first and its last frame, a loop its first. A loop's last frame shows
the same picture, so the remaining frames go round without a jump. Reference: StereoCrafter-Zero drops the same
frames; unlike its released code, and like DynamiCrafter, a loop fixes both of its ends here.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from stereozero.backbones.variants import OFFICIAL_SIZE_FACTOR, Variant, read_size_factor, read_variant, variant_named
from stereozero.config.generator import AnyGenerator, VideoFormat
from stereozero.errors import InputError
from stereozero.manifest import Clip

_FIXED_FRAMES = {"plain": (0, 0), "interpolation": (1, 1), "loop": (1, 0)}  # dropped at the start and at the end
_MEMORY_AND_SPEED = {"guidance_in_one_batch", "vae_frames", "offload", "compile"}


def kept_frames(mode: str, frames: int) -> range:
    """Return the frames of a trajectory that the video shows: all but those that the mode's images fix."""
    start, end = _FIXED_FRAMES[mode]
    return range(start, frames - end)


def variant_of(generator: AnyGenerator) -> Variant:
    """Return the fixed choices of the configured model.

    Raises:
        InputError: the folder holds no model.
    """
    return variant_named(generator.variant) if generator.variant else read_variant(Path(generator.folder))


def model_files(generator: AnyGenerator) -> dict[str, Path]:
    """Return name -> path of every file of a saved model; empty for an official one, which is fetched."""
    if generator.folder is None:
        return {}
    folder = Path(generator.folder)
    files = [path for path in sorted(folder.rglob("*")) if path.suffix in (".json", ".safetensors")]
    return {f"model/{path.relative_to(folder).as_posix()}": path for path in files}


def sampling_settings(generator: AnyGenerator, variant: Variant, clip: Clip, seed: int) -> dict[str, Any]:
    """Return all settings that a clip is sampled with, presets and the row's overrides filled in, as JSON values.

    What only changes memory and speed is left out: results differ by rounding at most. So is what only generation
    knows, :func:`held_timestep`.
    """
    presets = {
        "guidance_rescale": variant.guidance_rescale,
        "dynamic_rescale": variant.base_scale,
        "spacing": variant.spacing,
        "frame_stride": variant.default_fs,
    }
    without = _MEMORY_AND_SPEED | {"checkpoint", "folder", "hold_below"}
    if generator.image_guidance is None:
        without |= {"image_guidance"}  # recipes are older than this key
    own = generator.model_dump(mode="json", exclude=without)
    settings = own | {name: preset for name, preset in presets.items() if own[name] is None}
    if clip.frame_stride is not None:
        settings["frame_stride"] = clip.frame_stride
    return settings | {"prompt": clip.prompt, "mode": clip.mode, "seed": seed}


def held_timestep(generator: AnyGenerator, variant: Variant) -> dict[str, int]:
    """Return the setting ``hold_below`` of generated clips; empty where the network is evaluated in every step."""
    timestep = variant.hold_below if generator.hold_below is None else generator.hold_below
    return {"hold_below": timestep} if timestep else {}  # recipes are older than this key


def size_factor(generator: AnyGenerator) -> int:
    """Return what height and width of every clip must be multiples of, because the networks halve them that often."""
    return read_size_factor(Path(generator.folder)) if generator.folder else OFFICIAL_SIZE_FACTOR


def size_misfits(generator: AnyGenerator, video: VideoFormat) -> Iterator[str]:
    """Yield what keeps the generator from taking videos of the configured size, with what would be right."""
    try:
        variant, factor = variant_of(generator), size_factor(generator)
    except InputError as error:
        yield f"generator: {error}"
        return
    if video.height % factor or video.width % factor:
        yield (
            f"video: height {video.height} and width {video.width} must be multiples of {factor}, because the "
            f"generator's networks halve them that often; set {_right(variant)}"
        )


def misfits(generator: AnyGenerator, video: VideoFormat) -> Iterator[str]:
    """Yield what keeps the generator from making videos of the configured format, with what would be right."""
    problems = list(size_misfits(generator, video))
    yield from problems
    try:
        variant = variant_of(generator)
    except InputError:
        return  # said above
    if not problems and (video.height, video.width) != (variant.height, variant.width):
        yield (
            f"video: the generator {variant.name} was trained for height {variant.height} and width {variant.width}, "
            f"not {video.height} and {video.width}; set {_right(variant)}"
        )
    if video.frames != variant.frames:
        yield (
            f"video.frames: {video.frames}, but the generator {variant.name} makes clips of {variant.frames} frames, "
            f"of no other length: its image tokens are trained one set a frame; set {_right(variant)}"
        )


def _right(variant: Variant) -> str:
    return f"video: {{height: {variant.height}, width: {variant.width}, frames: {variant.frames}}}"


def advice(generator: AnyGenerator, clips: Iterable[Clip]) -> Iterator[str]:
    """Yield what will work but not as well as it could, for a person to read before a run."""
    variant = variant_of(generator)
    bridged = [clip.clip_id for clip in clips if clip.mode != "plain"]
    if bridged and variant.name != "512-interp":
        yield (
            f"{len(bridged)} clips interpolate or loop ({', '.join(bridged[:3])}, ...): the model {variant.name} was "
            "not trained for that; variant 512-interp was"
        )
    low, high = variant.fs_range
    strides = {clip.clip_id: clip.frame_stride or generator.frame_stride or variant.default_fs for clip in clips}
    unusual = [clip_id for clip_id, stride in strides.items() if not low <= stride <= high]
    if unusual:
        yield f"frame_stride of {', '.join(unusual)}: the model {variant.name} is recommended {low} to {high}"
