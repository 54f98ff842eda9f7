"""Features of images by DINO and DINOv2: a map of patch tokens."""

import shutil
import urllib.error
from pathlib import Path

import torch
from torch import Tensor, nn

from stereozero.checkpoint_file import check_keys, read_checkpoint
from stereozero.errors import InputError
from stereozero.metrics.met3r.featup import JbuStack
from stereozero.vision_transformer import DINO_VITS16, VisionTransformer, load_weights, save_vit

HUB_ENTRY = "dinov2"  # of a folder that save_to_hub_folder wrote
_NORM_EPS = 1e-5
_SAVED_HUBCONF = Path(__file__).parent / "hub" / "saved_hubconf.py"


class PatchFeatures(nn.Module):
    """The patch tokens after the last norm, as an image of features.

    Args:
        network: what has `forward_features`: ours, or DINOv2's own from torch.hub.
        norm: over channels, of FeatUp's checkpoints that have one; None leaves tokens as they are.
    """

    def __init__(self, network: nn.Module, norm: nn.LayerNorm | None = None):
        super().__init__()
        self.network, self.norm = network, norm
        self.requires_grad_(False).eval()

    @property
    def patch_size(self) -> int:
        """Side of a patch, of which images must be multiples [px]."""
        return int(self.network.patch_size)

    def forward(self, images: Tensor) -> Tensor:
        """Return the features (B, C, H / patch, W / patch) of images (B, 3, H, W), normalised as for ImageNet."""
        tokens = self.network.forward_features(images)["x_norm_patchtokens"]  # (B, N, C)
        if self.norm is not None:
            tokens = self.norm(tokens)
        return tokens.transpose(1, 2).unflatten(2, (images.shape[2] // self.patch_size, -1))


def load_dino16(path: Path) -> VisionTransformer:
    """Load DINO's ViT-S/16 from its official file.

    Raises:
        InputError: the file is missing or damaged, or is of another network.
    """
    network = VisionTransformer(DINO_VITS16)
    load_weights(network, path)
    return network


def load_from_hub(repository: str, entry: str, checkpoint: Path | None = None) -> nn.Module:
    """Load a DINOv2-style network through torch.hub.

    Args:
        repository: a local folder with a hubconf.py, or "owner/name:commit" on GitHub, which torch.hub fetches once.
        entry: of the repository, such as "dinov2_vits14".
        checkpoint: the entry's weights file; None leaves them to the entry (torch.hub's cache or the network).

    Raises:
        InputError: no such repository or entry, neither network nor cached files, or the weights do not fit.
    """
    pretrained = checkpoint is None
    if not Path(repository).is_dir() and ":" not in repository:
        raise InputError(f"there is no folder {repository}; a repository on GitHub is named owner/name:commit")
    try:
        if Path(repository).is_dir():
            network = torch.hub.load(repository, entry, source="local", pretrained=pretrained)
        else:
            network = torch.hub.load(
                repository, entry, trust_repo=True, skip_validation=True, verbose=False, pretrained=pretrained
            )
    except (urllib.error.URLError, OSError, RuntimeError, ValueError) as error:
        raise InputError(_hub_message(repository, entry, error)) from error
    if not hasattr(network, "forward_features") or not hasattr(network, "patch_size"):
        raise InputError(f"{entry} of {repository} has no forward_features and patch_size: it is no DINOv2-style model")
    if checkpoint is not None:
        load_weights(network, checkpoint)
    return network


def save_to_hub_folder(network: VisionTransformer, folder: Path) -> None:
    """Write a network, its weights as float16, as a local torch.hub repository with the entry `HUB_ENTRY`."""
    save_vit(network, folder)
    shutil.copyfile(_SAVED_HUBCONF, folder / "hubconf.py")


def _hub_message(repository: str, entry: str, error: Exception) -> str:
    reason = f"{type(error).__name__}: {error}".partition("\n")[0]
    problem = f"torch.hub can't load {entry} of {repository} ({reason})"
    if Path(repository).is_dir():
        return f"{problem}. Name a folder whose hubconf.py has this entry and, as feature_checkpoint, its weights file"
    fetching = f"import torch; torch.hub.list('{repository}', trust_repo=True, skip_validation=True)"
    return (
        f"{problem}. The rule 'weights' fetches no code. Where there is a network, run 'python -c \"{fetching}\"' once "
        f"and, from another machine, bring torch.hub's folder here ({torch.hub.get_dir()}). For DINOv2 you may instead "
        "set scoring.met3r.hub to src/stereozero/metrics/met3r/hub, which has its entries and needs no network"
    )


def load_featup(path: Path, width: int, with_norm: bool = True) -> tuple[JbuStack, nn.LayerNorm | None]:
    """Load FeatUp's upsampler from one of its checkpoints, and the norm over channels that it was trained behind.

    The weights of the backbone are not read: they are those of the published DINO and DINOv2, and may be missing.

    Args:
        path: `<features>_jbu_stack_cocostuff.ckpt`.
        width: channels of the features.
        with_norm: the file was trained with a norm over channels; those in FeatUp's folder `no_norm` were not.

    Raises:
        InputError: the file is missing or damaged, or is of other features.
    """
    content = read_checkpoint(path)
    tensors = content.get("state_dict", content)
    parts = {"upsampler": JbuStack(width)}
    if with_norm:
        parts["model.1.norm"] = nn.LayerNorm(width, eps=_NORM_EPS)
    wanted = nn.ModuleDict({name.replace(".", "/"): part for name, part in parts.items()}).state_dict()
    wanted = {key.replace("/", "."): value for key, value in wanted.items()}
    found = {key: value for key, value in tensors.items() if key.startswith(tuple(f"{name}." for name in parts))}
    check_keys(path, found, wanted)
    for name, part in parts.items():
        part.load_state_dict({key: found[f"{name}.{key}"].float() for key in part.state_dict()})
        part.requires_grad_(False).eval()
    return parts["upsampler"], parts.get("model.1.norm")
