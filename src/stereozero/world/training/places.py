"""Teaches features to tell places: where in the picture they are, and where in the first frame they come from.

The video UNet has no position embedding. It can tell places only from how far the border of the picture is, and the
denoising loss alone teaches that slowly. So linear layers read both from the features of every level on the way up, and
what they read wrong is a further loss. Nothing of this is needed to sample from the network.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from stereozero.backbones.dynamicrafter import VideoUNet
from stereozero.backbones.dynamicrafter.attention import SpatialTransformer
from stereozero.world.training.correspondence import Origins, balanced

_WAVES = (0.5, 1, 2, 4, 8)  # in the width of the picture; from each, x and y are told by a sine and a cosine
_CODE = 4 * len(_WAVES)
_SHORTEST = 3.0  # cells; a grid does not tell shorter waves


@dataclass(frozen=True, eq=False)
class PlaceTargets:
    """What is to be read from N frames' features of h x w cells, in C sines and cosines.

    Attributes:
        here: (h, w, C) code of the cells' own places.
        origin: (N, h, w, C) code of where in the first frame their surface points were.
        weight: (N, h, w) what a cell counts in the error of the origin, as in
            :func:`~stereozero.world.training.correspondence.balanced`.
    """

    here: Tensor
    origin: Tensor
    weight: Tensor

    def to(self, device: torch.device) -> "PlaceTargets":
        """Return the same on a device."""
        return PlaceTargets(self.here.to(device), self.origin.to(device), self.weight.to(device))


class PlaceReadouts(nn.Module):
    """Linear layers that read places from what spatial transformers see, in the middle and on the way up.

    Args:
        unet: the network that is to be taught; it is neither kept nor changed.

    Attributes:
        targets: what is to be read in the next evaluation, by the number of cells; must be set before its losses are
            taken.
    """

    def __init__(self, unet: VideoUNet):
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Linear(transformer.norm.num_channels, 2 * _CODE) for transformer in _transformers(unet)
        )
        self.targets: dict[int, PlaceTargets] = {}
        self._features: list[Tensor] = []

    def watch(self, unet: VideoUNet) -> None:
        """Note the features of each evaluation with gradients from now on."""
        for transformer in _transformers(unet):
            transformer.norm.register_forward_hook(lambda _, __, normed: self._note(normed))

    def take_losses(self) -> dict[str, Tensor]:
        """Return the mean squared errors of what is read of the last evaluation, "place" and "origin"; forget it."""
        errors = [self._errors(layer, features) for layer, features in zip(self.layers, self._features, strict=True)]
        self._features.clear()
        return {name: torch.stack([one[name] for one in errors]).mean() for name in ("place", "origin")}

    def _note(self, features: Tensor) -> None:
        if torch.is_grad_enabled():
            self._features.append(features)

    def _errors(self, layer: nn.Linear, features: Tensor) -> dict[str, Tensor]:
        # Features (N, C, h, w).
        targets = self.targets[features[0, 0].numel()]
        read = layer(features.movedim(1, -1).float()).unflatten(-1, (2, _CODE))  # (N, h, w, 2, code)
        here, origin = read[..., : targets.here.shape[-1]].unbind(-2)  # (N, h, w, C) each
        wrong = (origin - targets.origin).square().mean(dim=-1)  # (N, h, w)
        return {"place": (here - targets.here).square().mean(), "origin": (wrong * targets.weight).sum()}


def place_targets(origins: Sequence[Origins]) -> PlaceTargets:
    """Return what is to be read in clips with these origins, clip by clip and frame by frame."""
    places = np.concatenate([one.places for one in origins])  # (N, h, w, 2)
    height, width = places.shape[1:3]
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1)  # (h, w, 2)
    arrays = (place_code(grid, width), place_code(places, width), balanced(origins))
    return PlaceTargets(*map(torch.from_numpy, arrays))


def place_code(places: np.ndarray, width: int) -> np.ndarray:
    """Return sines and cosines at places, the longest waves first, down to the shortest that a grid tells.

    Args:
        places: (..., 2) x and y [cells], cell centres having whole numbers.
        width: of the grid [cells].

    Returns:
        (..., C) float32 in [-1, 1]; 4 for each wave.
    """
    waves = np.array([wave for wave in _WAVES if width / wave >= _SHORTEST])
    phases = (places[..., None, :] + 0.5) * waves[:, None] * (2 * math.pi / width)  # (..., waves, 2)
    code = np.stack([np.sin(phases), np.cos(phases)], axis=-1)  # (..., waves, 2, 2)
    return code.reshape(*places.shape[:-1], -1).astype(np.float32)


def _transformers(unet: VideoUNet) -> list[SpatialTransformer]:
    modules = [*unet.middle_block.modules(), *unet.output_blocks.modules()]
    return [module for module in modules if isinstance(module, SpatialTransformer)]
