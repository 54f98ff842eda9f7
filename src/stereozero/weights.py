"""Weights of published models: which ones a run needs, and how they are found, fetched and verified."""

import logging
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stereozero.artifacts import sha256_of
from stereozero.config import Config
from stereozero.config.depths import AnyDepth
from stereozero.config.generator import AnyGenerator
from stereozero.config.scoring import NETWORK_METRICS, ClipScoring, Met3rScoring
from stereozero.depth.settings import (
    DepthAnythingDepth,
    DepthCrafterDepth,
    DepthProDepth,
    DerivedDepth,
    VideoDepthAnythingDepth,
)
from stereozero.download import fetch_unverified
from stereozero.errors import InputError
from stereozero.published_models import REGISTRY, ModelFile

log = logging.getLogger(__name__)

_FLOW_NETWORKS = {"raft_large": "raft", "raft_small": "raft-small"}
_DINOV2 = "facebookresearch/dinov2:"
_DINOV2_STAND_IN = Path(__file__).resolve().parent / "metrics" / "met3r" / "hub"  # its entries read the same files


@dataclass(frozen=True)
class FetchedFile:
    """A model's file on this machine, verified.

    Attributes:
        path: where it lies.
        size: bytes.
        sha256: of its content.
    """

    path: Path
    size: int
    sha256: str


def generator_model(generator: AnyGenerator) -> str | None:
    """Return the name of the published model that a generator needs, or None for a saved folder."""
    return f"{generator.kind}-{generator.variant}" if generator.variant else None


def scoring_models(config: Config) -> Mapping[str, Mapping[str, str]]:
    """Return which published models a run's metrics need.

    Returns:
        Network (a key of ``scoring``) -> its setting that names a local copy -> the model's name in ``REGISTRY``. Only
        networks that a metric of the run asks for.
    """
    asked_for = {NETWORK_METRICS[metric] for metric in config.metrics if metric in NETWORK_METRICS}
    return {network: _published_parts(getattr(config.scoring, network)) for network in sorted(asked_for)}


def _published_parts(settings: ClipScoring | Met3rScoring) -> Mapping[str, str]:
    if isinstance(settings, ClipScoring):
        return {"checkpoint": f"clip-{settings.variant}"} if settings.variant else {}
    parts = {
        "geometry_checkpoint": None if settings.geometry == "stereo" else settings.geometry,
        "feature_checkpoint": _feature_model(settings),
        "featup_checkpoint": f"featup-{settings.features}" if settings.upsampler == "featup" else None,
    }
    return {key: name for key, name in parts.items() if name and getattr(settings, key) is None}


def _feature_model(settings: Met3rScoring) -> str | None:
    """Return the published model that the features are; None for one that a torch.hub repository brings along."""
    if settings.features == "dino16":
        return "dino16"
    is_published = settings.hub.startswith(_DINOV2) or Path(settings.hub).resolve() == _DINOV2_STAND_IN
    return settings.entry if is_published and settings.entry in REGISTRY else None


def depth_models(depth: AnyDepth) -> tuple[str, ...]:
    """Return the names of the published models that a depth variant needs; none where it names local copies."""
    match depth:
        case DepthCrafterDepth(folder=None):
            unet = () if depth.unet else ("depthcrafter-unet",)
            return unet if depth.svd else (*unet, "svd-xt-vae", "svd-xt-image-encoder")
        case DepthProDepth(folder=None):
            return ("depth-pro",)
        case DepthAnythingDepth(folder=None):
            return (f"depth-anything-{depth.variant}",)
        case VideoDepthAnythingDepth(checkpoint=None):
            return (f"video-depth-anything-{depth.variant}",)
        case DerivedDepth(propagate="paper" | "reference", flow="raft_large" | "raft_small"):
            return (_FLOW_NETWORKS[depth.flow],)
    return ()


def needed_models(config: Config) -> Mapping[str, Path | None]:
    """Return name -> local copy that the config names, or None, of every published model that a run needs."""
    scoring = {name: key for parts in scoring_models(config).values() for key, name in parts.items()}
    named = {generator_model(config.generator) if config.generator else None: config.generator}
    named |= {name: config.scoring.clip for name, key in scoring.items() if key == "checkpoint"}
    copies = {
        name: Path(settings.checkpoint) if settings.checkpoint else None for name, settings in named.items() if name
    }
    others = [*scoring, *[name for depth in config.depths.values() for name in depth_models(depth)]]
    return copies | {name: None for name in others if name not in copies}


def fetch(model: ModelFile, local: Path | None = None, cache: Path | None = None) -> FetchedFile:
    """Return a model's file, from the config's local copy, the cache or the network, verified.

    Args:
        model: what is wanted.
        local: a copy the user named; nothing is fetched then.
        cache: folder of the Hugging Face cache; None for the user's own (HF_HOME, HF_HUB_CACHE).

    Raises:
        InputError: there is none and it can't be fetched, the disk is too small, or a fetched file is not what it
            should be. A local copy of another content, such as a pruned one, is only warned of: reading it compares
            its keys and shapes.
    """
    if model.licence:
        log.warning("%s: %s", model.name, model.licence)
    path = _find(model, local, cache) or _download(model, cache)
    log.info("%s: verifying %s", model.name, path)
    found = sha256_of(path)
    expected = model.sha256 or _checksum_of_hub(path)
    if expected is None:
        log.warning("%s: no checksum is known for %s; its SHA-256 is %s", model.name, path, found)
    elif not found.startswith(expected):
        _tell_of_another_file(model, path, f"its SHA-256 is {found}, that of {model.origin} is {expected}", local)
    return FetchedFile(path, path.stat().st_size, found)


def _tell_of_another_file(model: ModelFile, path: Path, difference: str, local: Path | None) -> None:
    if local is None:
        raise InputError(f"{path}: is not the {model.name} that is wanted: {difference}; delete it and fetch it again")
    log.warning(
        "%s: %s is not the published file: %s. It is used because you name it; its keys and shapes must fit the model",
        *(model.name, path, difference),
    )


def locate(model: ModelFile, local: Path | None = None, cache: Path | None = None) -> Path:
    """Return where a model's file lies, without network and without verifying it; see :func:`fetch`.

    Raises:
        InputError: there is none.
    """
    path = _find(model, local, cache)
    if path is None:
        raise InputError(_missing(model, cache, "it has been removed since the rule 'weights' ran"))
    return path


def _find(model: ModelFile, local: Path | None, cache: Path | None) -> Path | None:
    if local is not None:
        if not local.is_file():
            raise InputError(
                f"{model.setting}: there is no file {local}; name a copy of {model.origin}, or leave the key out and "
                "it is fetched"
            )
        return local
    if model.address:
        path = _path_outside_hub(model, cache)
        return path if path.is_file() else None
    from huggingface_hub import try_to_load_from_cache

    cached = [
        try_to_load_from_cache(model.repository, file, cache_dir=cache, revision=model.revision)
        for file in (model.file, *model.companions)
    ]
    return Path(cached[0]) if all(isinstance(path, str) for path in cached) else None


def _download(model: ModelFile, cache: Path | None) -> Path:
    folder = _cache_folder(cache)
    _check_disk(model, folder)
    log.info("%s: fetching %s to %s", model.name, model.origin, folder)
    if not model.address:
        return _download_from_hub(model, cache)
    try:
        return fetch_unverified(f"{model.address}/{model.file}", _path_outside_hub(model, cache))
    except InputError as error:
        raise InputError(_missing(model, cache, str(error))) from error


def _download_from_hub(model: ModelFile, cache: Path | None) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()  # the log is a file
    try:
        paths = [
            Path(hf_hub_download(model.repository, file, cache_dir=cache, revision=model.revision))
            for file in (model.file, *model.companions)
        ]
        return paths[0]
    except OSError as error:  # also all of the hub's own errors: offline, no such repository, ...
        raise InputError(_missing(model, cache, str(error).partition("\n")[0])) from error


def _check_disk(model: ModelFile, folder: Path) -> None:
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(existing).free / 1e9
    if free < model.gigabytes:
        raise InputError(
            f"{model.name}: {model.origin} does not fit: {free:.1f} GB are free at {existing}; make room, or set "
            "weights_folder to a larger disk"
        )


def _missing(model: ModelFile, cache: Path | None, reason: str) -> str:
    return (
        f"{model.name}: its weights are not on this machine and can't be fetched. Missing: {model.origin}; looked in "
        f"{_cache_folder(cache)} ({reason}). Where there is a network, {_by_hand(model, cache)}"
    )


def _by_hand(model: ModelFile, cache: Path | None) -> str:
    named = f"name its path in the config as {model.setting}"
    if model.address:
        place = f"download {model.address}/{model.file}; then bring the file here as {_path_outside_hub(model, cache)}"
        return f"{place}, or {named}" if model.setting else place
    revision = f" --revision {model.revision}" if model.revision else ""
    files = " ".join((model.file, *model.companions))
    folder, what = (f" --local-dir {model.name}", "folder") if model.companions else ("", "file")
    return f"run 'hf download {model.repository} {files}{revision}{folder}'; then bring the {what} here and {named}"


def _path_outside_hub(model: ModelFile, cache: Path | None) -> Path:
    return _cache_folder(cache) / "stereozero" / model.file


def _cache_folder(cache: Path | None) -> Path:
    from huggingface_hub.constants import HF_HUB_CACHE

    return cache or Path(HF_HUB_CACHE)


def _checksum_of_hub(path: Path) -> str | None:
    """The hub's cache links to files that are named by the checksum the hub gave for them."""
    name = path.resolve().name
    return name if path.is_symlink() and re.fullmatch(r"[0-9a-f]{64}", name) else None
