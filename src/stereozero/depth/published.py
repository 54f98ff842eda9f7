"""Where the published depth models come from, and the folders they are read from.

Revisions and sizes were read on huggingface.co's pages, without downloading the files; None is the newest revision.
"""

from dataclasses import dataclass
from pathlib import Path

from stereozero.config import suggest
from stereozero.errors import InputError

_TRANSFORMERS = ("config.json", "model.safetensors")


@dataclass(frozen=True)
class PublishedModel:
    """One model on the Hugging Face hub.

    Attributes:
        repository: on huggingface.co.
        files: what is needed of it.
        gigabytes: their size [1e9 bytes].
        revision: commit it is pinned to, or None where none is known.
    """

    repository: str
    files: tuple[str, ...]
    gigabytes: float
    revision: str | None = None

    @property
    def origin(self) -> str:
        """Where it comes from, for messages."""
        revision = f", revision {self.revision}" if self.revision else ""
        return f"huggingface.co/{self.repository} ({self.gigabytes:.1f} GB{revision})"


PUBLISHED = {
    "depth-anything-v1-large": PublishedModel(
        "LiheYoung/depth-anything-large-hf", _TRANSFORMERS, 1.34, "27ccb0920352c0c37b3a96441873c8d37bd52fb6"
    ),
    "depth-anything-v2-small": PublishedModel("depth-anything/Depth-Anything-V2-Small-hf", _TRANSFORMERS, 0.1),
    "depth-anything-v2-base": PublishedModel("depth-anything/Depth-Anything-V2-Base-hf", _TRANSFORMERS, 0.39),
    "depth-anything-v2-large": PublishedModel("depth-anything/Depth-Anything-V2-Large-hf", _TRANSFORMERS, 1.34),
    "depth-pro": PublishedModel("apple/DepthPro-hf", _TRANSFORMERS, 1.9, "3a8b51229207764e5215b31f47fac0d1a049d563"),
    "video-depth-anything-vits": PublishedModel(
        "depth-anything/Video-Depth-Anything-Small",
        ("video_depth_anything_vits.pth",),
        0.12,
        "a396fdd839642f9bb4d08d54cae9fbf43ca13388",
    ),
    "video-depth-anything-vitl": PublishedModel(
        "depth-anything/Video-Depth-Anything-Large",
        ("video_depth_anything_vitl.pth",),
        1.54,
        "7aafbcb5c6af0bac741aad2b6471894fb4761afa",
    ),
}
"""Models by the names that configurations call them."""


def model_folder(name: str, folder: Path | None = None, cache: Path | None = None) -> Path:
    """Return the folder with a published model's files; they are fetched if they are nowhere on this machine.

    Args:
        name: a key of ``PUBLISHED``.
        folder: the user's own copy; nothing is fetched then.
        cache: folder of the Hugging Face cache; None for the user's own (HF_HOME, HF_HUB_CACHE).

    Raises:
        InputError: an unknown name, or a file is missing and can't be fetched.
    """
    if name not in PUBLISHED:
        raise InputError(f"depth: there is no model '{name}'{suggest(name, PUBLISHED)}")
    if folder is None:
        return _fetch(name, cache)
    missing = [file for file in PUBLISHED[name].files if not (folder / file).is_file()]
    if missing:
        raise InputError(_message(name, f"{folder} has no {' and no '.join(missing)}"))
    return folder


def _fetch(name: str, cache: Path | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.constants import HF_HUB_CACHE

    model = PUBLISHED[name]
    try:
        found = snapshot_download(
            model.repository, revision=model.revision, allow_patterns=list(model.files), cache_dir=cache
        )
    except OSError as error:  # also all of the hub's own errors: offline, no such repository, ...
        looked = f"looked in {cache or HF_HUB_CACHE}; {str(error).partition(chr(10))[0]}"
        raise InputError(_message(name, looked)) from error
    return model_folder(name, Path(found))


def _message(name: str, reason: str) -> str:
    model = PUBLISHED[name]
    revision = f" --revision {model.revision}" if model.revision else ""
    command = f"hf download {model.repository} {' '.join(model.files)}{revision} --local-dir {name}"
    return (
        f"{name}: its weights are not on this machine ({reason}). Needed: {' and '.join(model.files)} of "
        f"{model.origin}. Where there is a network, run '{command}'; then bring this folder here and name its path as "
        "the model's folder"
    )
