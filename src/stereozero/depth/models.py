"""Networks that estimate depth: which files they are read from, and reading them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stereozero.config.depths import AnyDepth
from stereozero.depth.settings import (
    DepthAnythingDepth,
    DepthCrafterDepth,
    DepthProDepth,
    EstimatedDepth,
    VideoDepthAnythingDepth,
)

if TYPE_CHECKING:
    from stereozero.depth.depthcrafter_estimator import DepthCrafterEstimator
    from stereozero.depth.estimator import DepthEstimator

_COPIES = ("folder", "unet", "svd", "checkpoint")
_MEMORY_AND_SPEED = {DepthProDepth: {"frames_at_once"}, DepthAnythingDepth: {"frames_at_once"}}
_SVD = ("vae/config.json", "image_encoder/config.json", "scheduler/scheduler_config.json")


def estimate_settings(settings: EstimatedDepth) -> dict[str, Any]:
    """Return what of a variant's settings changes its estimates, as JSON values.

    Local copies count by content, as an artefact's inputs, and not by name.
    """
    left_out = {"percentiles", "rendered", "half_range", *_COPIES} | _MEMORY_AND_SPEED.get(type(settings), set())
    how = settings.model_dump(mode="json", exclude=left_out)
    return how | ({"half_range": True} if settings.half_range else {})


def local_files(settings: AnyDepth) -> dict[str, Path]:
    """Return name -> path of every local file that a variant's networks are read from."""
    files: dict[str, Path] = {}
    for key, copy in _local_copies(settings):
        if copy.is_file():
            files[key] = copy
        for config in _configs(settings, key):
            parts = sorted((copy / config).parent.glob("*"))
            found = [path for path in parts if path.suffix in (".json", ".safetensors")]
            files |= {f"{key}/{path.relative_to(copy).as_posix()}": path for path in found}
    return files


def missing_files(depths: Mapping[str, AnyDepth]) -> Iterator[str]:
    """Yield one line for each local copy that a variant names and that is not there or not whole."""
    for name, settings in depths.items():
        for key, copy in _local_copies(settings):
            missing = [config for config in _configs(settings, key) if not (copy / config).is_file()]
            if not copy.exists():
                yield f"depths.{name}.{key}: there is no {copy}"
            elif missing:
                yield f"depths.{name}.{key}: {copy} has no {' and no '.join(missing)}; copy the model again"


def _local_copies(settings: AnyDepth) -> list[tuple[str, Path]]:
    return [(key, Path(value)) for key in _COPIES if (value := getattr(settings, key, None)) is not None]


def _configs(settings: AnyDepth, key: str) -> tuple[str, ...]:
    """Return the configurations that must lie in the folder that a key names; beside each lie its weights."""
    match key:
        case "folder" if isinstance(settings, DepthCrafterDepth):
            return ("unet/config.json", *_SVD)
        case "svd":
            return _SVD
        case "folder" | "unet":
            return ("config.json",)
    return ()


def load_estimator(settings: EstimatedDepth, device: str, fetched: Mapping[str, Path]) -> "DepthEstimator":
    """Load the networks of a depth variant.

    Args:
        settings: from the config's section `depths`.
        device: where they compute.
        fetched: name -> file of each published model that the settings ask for; see
            :func:`stereozero.weights.depth_models`.

    Raises:
        InputError: a file is missing, damaged, or of another network.
    """
    from stereozero.backbones.loading import DTYPES

    how = {"device": device, "dtype": DTYPES[settings.dtype]}
    match settings:
        case DepthCrafterDepth():
            return _load_depthcrafter(settings, how, fetched)
        case DepthProDepth():
            from stereozero.depth.depth_pro import DepthProEstimator

            folder = settings.folder or fetched["depth-pro"].parent
            return DepthProEstimator.from_pretrained(folder, settings.frames_at_once, **how)
        case DepthAnythingDepth():
            from stereozero.depth.depth_anything import DepthAnythingEstimator

            folder = settings.folder or fetched[f"depth-anything-{settings.variant}"].parent
            return DepthAnythingEstimator.from_pretrained(folder, settings.frames_at_once, **how)
        case VideoDepthAnythingDepth():
            from stereozero.depth.video_depth_anything import VideoDepthAnythingEstimator

            path = settings.checkpoint or fetched[f"video-depth-anything-{settings.variant}"]
            return VideoDepthAnythingEstimator.from_official(path, settings.variant, settings.short_side, **how)


def _load_depthcrafter(
    settings: DepthCrafterDepth, how: Mapping[str, Any], fetched: Mapping[str, Path]
) -> "DepthCrafterEstimator":
    from stereozero.depth.depthcrafter import DepthCrafter, DepthCrafterSettings
    from stereozero.depth.depthcrafter_estimator import DepthCrafterEstimator

    unet = None
    folder = settings.folder or settings.svd or fetched["svd-xt-vae"].parents[1]
    if settings.folder is None:
        unet = settings.unet or fetched["depthcrafter-unet"].parent
    names = ("steps", "guidance", "noise_augmentation", "window", "overlap", "frames_at_once")
    sampling = DepthCrafterSettings(**{name: getattr(settings, name) for name in names})
    return DepthCrafterEstimator(DepthCrafter.from_pretrained(folder, unet, **how), sampling)


def less_memory(settings: EstimatedDepth, where: str) -> str:
    """Return what to change in a variant's settings if the memory of ``where`` ("the GPU", ...) ran out."""
    knobs = [
        ("'dtype: bf16'", settings.dtype == "fp32"),
        ("'frames_at_once: 1'", getattr(settings, "frames_at_once", 1) > 1),
        ("a smaller 'window'", isinstance(settings, DepthCrafterDepth)),
        ("a smaller 'short_side'", isinstance(settings, VideoDepthAnythingDepth)),
    ]
    left = [knob for knob, helps in knobs if helps]
    return f"set {', '.join(left)} for this depth variant" if left else f"take a smaller network, or more of {where}"
