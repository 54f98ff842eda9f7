"""Weights of published models: what there is, where it comes from, and how it is fetched and verified.

Checksums and revisions were read on huggingface.co's pages of the files (Git LFS pointers), without downloading them.
What could not be found there is None and is said so below and in docs/reference.md; such a file is verified against the
checksum that the hub itself gave with the download, and by the strict comparison of its keys and shapes when it is
loaded.
"""

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

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelFile:
    """One published file.

    Attributes:
        name: what the pipeline calls the model.
        repository: on huggingface.co; empty for a file that is published elsewhere.
        file: in the repository, or of the address.
        gigabytes: size, for the check of free disk space [1e9 bytes].
        revision: commit it is pinned to, or None where none is known: then the newest.
        sha256: of the file, or its first digits; None where it is not known.
        setting: config key that names a local copy; empty where there is none.
        companions: small files of the repository that are read with it; they are not verified.
        address: folder on the web where a file outside of huggingface.co lies.
        licence: of the weights, where one is known that restricts their use; shown whenever they are fetched.
    """

    name: str
    repository: str
    file: str
    gigabytes: float
    revision: str | None
    sha256: str | None
    setting: str = "generator.checkpoint"
    companions: tuple[str, ...] = ()
    address: str = ""
    licence: str = ""

    @property
    def origin(self) -> str:
        """Where it comes from, for messages."""
        if self.address:
            return f"{self.address}/{self.file} ({self.gigabytes:.3g} GB)"
        revision = f", revision {self.revision}" if self.revision else ""
        return f"{self.file} of huggingface.co/{self.repository} ({self.gigabytes:.3g} GB{revision})"


_NON_COMMERCIAL = "CC BY-NC 4.0: non-commercial use only"
_NAVER = "CC BY-NC-SA 4.0: non-commercial use only"
_STABILITY = "Stability AI's community licence for Stable Video Diffusion: read it before commercial use"

# An official model.ckpt holds everything: UNet, VAE, Resampler, and the text and image halves of open_clip's ViT-H/14
# (keys cond_stage_model.* and embedder.*; see backbones/dynamicrafter/official_keys.py). Nothing else is fetched.
_ALL = (
    ModelFile(
        name="dynamicrafter-256",
        repository="Doubiiu/DynamiCrafter",
        file="model.ckpt",
        gigabytes=10.44,
        revision="1e5a3f46f5b3d52b43fb37699a0e632f89ed57d5",
        sha256="328d23963f1fe5af1324793117dfa80c8f5d3d31a2a7d5a6089a1c8aa72fb2da",
    ),
    ModelFile(
        name="dynamicrafter-512",
        repository="Doubiiu/DynamiCrafter_512",
        file="model.ckpt",
        gigabytes=10.44,
        revision=None,  # only abbreviated commits could be found
        sha256="87b5eb1981ffa96110369dfc358c5a9e90b8ee18b24d711badab4e58baeaba97",  # of two independent copies
    ),
    ModelFile(
        name="dynamicrafter-1024",
        repository="Doubiiu/DynamiCrafter_1024",
        file="model.ckpt",
        gigabytes=10.44,
        revision="78833e79137156e586bc2b898a4bb27f4045de0f",
        sha256="97181be1431cc1c08fe31f8d0385a43c2beb1c7f36d25d2df301636f0c4f20f2",
    ),
    ModelFile(
        name="dynamicrafter-512-interp",
        repository="Doubiiu/DynamiCrafter_512_Interp",
        file="model.ckpt",
        gigabytes=10.44,
        revision="be54aaf61ddab427c4100395308fe31fe87a5734",
        sha256=None,  # not found
    ),
    ModelFile(
        name="clip-openai-vit-b-32",
        repository="timm/vit_base_patch32_clip_224.openai",  # where open_clip takes OpenAI's ViT-B/32 from
        file="open_clip_model.safetensors",
        gigabytes=0.61,
        revision=None,  # not found
        sha256=None,  # not found
        setting="scoring.clip.checkpoint",
    ),
    ModelFile(
        name="mast3r",
        repository="naver/MASt3R_ViTLarge_BaseDecoder_512_catmlpdpt_metric",
        file="model.safetensors",
        gigabytes=2.75,
        revision=None,  # not found
        sha256=None,  # not found
        setting="scoring.met3r.geometry_checkpoint",
        licence=_NAVER,
    ),
    ModelFile(
        name="dust3r",
        repository="naver/DUSt3R_ViTLarge_BaseDecoder_512_dpt",
        file="model.safetensors",
        gigabytes=2.28,
        revision=None,  # not found
        sha256=None,  # not found
        setting="scoring.met3r.geometry_checkpoint",
        licence=_NAVER,
    ),
    # Files that lie elsewhere than on huggingface.co have no revisions. Of their checksums only the first digits of
    # torchvision's are published, in the files' names.
    *(
        ModelFile(
            name=name,
            repository="",
            address="https://download.pytorch.org/models",
            file=f"{stem}-{digits}.pth",
            gigabytes=gigabytes,
            revision=None,
            sha256=digits,
            setting="",
        )
        for name, stem, digits, gigabytes in (
            ("raft", "raft_large_C_T_SKHT_V2", "ff5fadd5", 0.02),
            ("raft-small", "raft_small_C_T_V2", "01064c6d", 0.004),
        )
    ),
    ModelFile(
        name="dino16",
        repository="",
        address="https://dl.fbaipublicfiles.com/dino/dino_deitsmall16_pretrain",
        file="dino_deitsmall16_pretrain.pth",
        gigabytes=0.09,
        revision=None,
        sha256=None,
        setting="scoring.met3r.feature_checkpoint",
    ),
    *(
        ModelFile(
            name=f"dinov2_{size}14{registers}",
            repository="",
            address=f"https://dl.fbaipublicfiles.com/dinov2/dinov2_{size}14",
            file=f"dinov2_{size}14{registers.replace('reg', 'reg4')}_pretrain.pth",
            gigabytes=gigabytes,
            revision=None,
            sha256=None,
            setting="scoring.met3r.feature_checkpoint",
        )
        for size, gigabytes in (("vits", 0.09), ("vitb", 0.35), ("vitl", 1.22))
        for registers in ("", "_reg")
    ),
    *(
        ModelFile(
            name=f"featup-{features}",
            repository="",
            address="https://marhamilresearch4.blob.core.windows.net/feature-upsampling-public/pretrained",
            file=f"{features}_jbu_stack_cocostuff.ckpt",
            gigabytes=0.2,  # not known, less than that
            revision=None,
            sha256=None,
            setting="scoring.met3r.featup_checkpoint",
        )
        for features in ("dino16", "dinov2")
    ),
    ModelFile(
        name="depthcrafter-unet",
        repository="tencent/DepthCrafter",
        file="diffusion_pytorch_model.safetensors",
        gigabytes=3.05,
        revision=None,  # not found
        sha256=None,  # not found
        setting="depths.<name>.unet",
        companions=("config.json",),
        licence="Tencent's licence for DepthCrafter: academic, research and education purposes only",
    ),
    ModelFile(
        name="svd-xt-vae",
        repository="stabilityai/stable-video-diffusion-img2vid-xt",
        file="vae/diffusion_pytorch_model.fp16.safetensors",
        gigabytes=0.2,
        revision=None,  # not found
        sha256=None,  # not found
        setting="depths.<name>.svd",
        companions=("vae/config.json", "scheduler/scheduler_config.json"),
        licence=_STABILITY,
    ),
    ModelFile(
        name="svd-xt-image-encoder",
        repository="stabilityai/stable-video-diffusion-img2vid-xt",
        file="image_encoder/model.fp16.safetensors",
        gigabytes=1.27,
        revision=None,  # not found
        sha256=None,  # not found
        setting="depths.<name>.svd",
        companions=("image_encoder/config.json",),
        licence=_STABILITY,
    ),
    ModelFile(
        name="depth-pro",
        repository="apple/DepthPro-hf",
        file="model.safetensors",
        gigabytes=1.9,
        revision="3a8b51229207764e5215b31f47fac0d1a049d563",
        sha256="9c6811e3165485b9a94a204329860cb333a79877e757eb795a179a4ea34bbcf7",  # read on the main branch
        setting="depths.<name>.folder",
        companions=("config.json",),
        licence="Apple's licence for models of machine learning research: research purposes only",
    ),
    ModelFile(
        name="depth-anything-v1-large",
        repository="LiheYoung/depth-anything-large-hf",
        file="model.safetensors",
        gigabytes=1.34,
        revision="27ccb0920352c0c37b3a96441873c8d37bd52fb6",
        sha256="bc27360a3e6906e5ddd8f618e2dcde11362327361918b8f76793e42e25de31b3",
        setting="depths.<name>.folder",
        companions=("config.json",),
    ),
    *(
        ModelFile(
            name=f"depth-anything-v2-{size}",
            repository=f"depth-anything/Depth-Anything-V2-{size.capitalize()}-hf",
            file="model.safetensors",
            gigabytes=gigabytes,
            revision=None,  # not found
            sha256=None,  # not found
            setting="depths.<name>.folder",
            companions=("config.json",),
            licence="" if size == "small" else _NON_COMMERCIAL,
        )
        for size, gigabytes in (("small", 0.1), ("base", 0.39), ("large", 1.34))
    ),
    ModelFile(
        name="video-depth-anything-vits",
        repository="depth-anything/Video-Depth-Anything-Small",
        file="video_depth_anything_vits.pth",
        gigabytes=0.12,
        revision="a396fdd839642f9bb4d08d54cae9fbf43ca13388",
        sha256="13379300b739e659f076a59d52e9801bd8d38c541a7e71f73bbca4dcfb013609",
        setting="depths.<name>.checkpoint",
    ),
    ModelFile(
        name="video-depth-anything-vitl",
        repository="depth-anything/Video-Depth-Anything-Large",
        file="video_depth_anything_vitl.pth",
        gigabytes=1.54,
        revision="7aafbcb5c6af0bac741aad2b6471894fb4761afa",
        sha256="43df27c6b396042ba34ff7b798ab279f64d204d2e86d7a373968f8fa36d0e6fa",
        setting="depths.<name>.checkpoint",
        licence=_NON_COMMERCIAL,
    ),
)
REGISTRY = {model.name: model for model in _ALL}

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
