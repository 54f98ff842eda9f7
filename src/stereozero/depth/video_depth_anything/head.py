"""From the encoder's maps to depth: a DPT head (arXiv 2103.13413) with attention over time at its coarse levels.

Parameter names are the official ones (DepthAnything/Video-Depth-Anything, Apache-2.0).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from stereozero.depth.video_depth_anything.encoder import PATCH
from stereozero.depth.video_depth_anything.motion import TemporalTransformer

_FRAMES_AT_ONCE = 4  # at the fine levels, where the memory goes


class TemporalHead(nn.Module):
    """Brings four maps to strides of 4, 2, 1 and 1/2 of a patch's and merges them, coarse to fine.

    Args:
        width: channels of the encoder's maps.
        channels: of the four levels, fine to coarse.
        features: channels while they are merged.
    """

    def __init__(self, width: int, channels: Sequence[int], features: int):
        super().__init__()
        self.projects = nn.ModuleList(nn.Conv2d(width, level, 1) for level in channels)
        self.resize_layers = nn.ModuleList(
            [
                nn.ConvTranspose2d(channels[0], channels[0], 4, stride=4),
                nn.ConvTranspose2d(channels[1], channels[1], 2, stride=2),
                nn.Identity(),
                nn.Conv2d(channels[3], channels[3], 3, stride=2, padding=1),
            ]
        )
        self.scratch = nn.ModuleDict(_merging_layers(channels, features))
        self.motion_modules = nn.ModuleList(
            nn.ModuleDict({"temporal_transformer": TemporalTransformer(level)})
            for level in (channels[2], channels[3], features, features)
        )

    def forward(self, maps: Sequence[Tensor], frames: int) -> Tensor:
        """Estimate depth from the maps of B clips of so many frames.

        Args:
            maps: four of (B * frames, width, h, w).
            frames: 32 at most.

        Returns:
            (B * frames, 14 h, 14 w) float32, not negative.
        """
        size = tuple(PATCH * side for side in maps[0].shape[-2:])
        levels = [
            resize(project(level))
            for level, project, resize in zip(maps, self.projects, self.resize_layers, strict=True)
        ]  # (B * F, C, 4 h, 4 w), (B * F, C, 2 h, 2 w), (B * F, C, h, w), (B * F, C, h / 2, w / 2)
        levels[2] = self._over_time(0, levels[2], frames)
        levels[3] = self._over_time(1, levels[3], frames)
        fine, middle, coarse, coarsest = (
            self.scratch[f"layer{number}_rn"](level) for number, level in enumerate(levels, 1)
        )  # all with as many channels
        merged = self.scratch["refinenet4"](coarsest, coarse.shape[-2:])  # (B * F, features, h, w)
        merged = self._over_time(2, merged, frames)
        merged = self.scratch["refinenet3"](merged, middle.shape[-2:], coarse)  # (B * F, features, 2 h, 2 w)
        merged = self._over_time(3, merged, frames)
        parts = zip(*(level.split(_FRAMES_AT_ONCE) for level in (merged, middle, fine)), strict=True)
        return torch.cat([self._finish(*part, size) for part in parts])

    def _over_time(self, index: int, features: Tensor, frames: int) -> Tensor:
        return self.motion_modules[index]["temporal_transformer"](features, frames)

    def _finish(self, merged: Tensor, middle: Tensor, fine: Tensor, size: tuple[int, int]) -> Tensor:
        """Merge the fine levels of some frames, (N, features, ., .), and return their depth (N, *size) float32."""
        merged = self.scratch["refinenet2"](merged, fine.shape[-2:], middle)  # (N, features, 4 h, 4 w)
        double = tuple(2 * side for side in fine.shape[-2:])
        merged = self.scratch["refinenet1"](merged, double, fine)  # (N, features, 8 h, 8 w)
        merged = _resize(self.scratch["output_conv1"](merged), size)  # (N, features / 2, 14 h, 14 w)
        with torch.autocast(merged.device.type, enabled=False):  # as the official code: half precision shows here
            return self.scratch["output_conv2"](merged.float()).squeeze(1)


class Fusion(nn.Module):
    """Adds a level to what was merged so far, and enlarges.

    Args:
        features: channels.
        adds: False for the coarsest level, to which nothing is added.
    """

    def __init__(self, features: int, *, adds: bool = True):
        super().__init__()
        if adds:
            self.resConfUnit1 = ResidualUnit(features)
        self.resConfUnit2 = ResidualUnit(features)
        self.out_conv = nn.Conv2d(features, features, 1)

    def forward(self, merged: Tensor, size: Sequence[int], level: Tensor | None = None) -> Tensor:
        """Map (N, features, h, w), and a level of the same shape, to (N, features, *size)."""
        if level is not None:
            merged = merged + self.resConfUnit1(level)
        return self.out_conv(_resize(self.resConfUnit2(merged), size))


class ResidualUnit(nn.Module):
    """Two convolutions, each after a ReLU, with residual."""

    def __init__(self, features: int):
        super().__init__()
        self.conv1 = nn.Conv2d(features, features, 3, padding=1)
        self.conv2 = nn.Conv2d(features, features, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """Map (N, features, h, w) to the same shape."""
        return image + self.conv2(nnf.relu(self.conv1(nnf.relu(image))))


def _merging_layers(channels: Sequence[int], features: int) -> dict[str, nn.Module]:
    layers: dict[str, nn.Module] = {
        f"layer{number}_rn": nn.Conv2d(level, features, 3, padding=1, bias=False)
        for number, level in enumerate(channels, 1)
    }
    layers |= {f"refinenet{number}": Fusion(features, adds=number != 4) for number in (1, 2, 3, 4)}
    layers["output_conv1"] = nn.Conv2d(features, features // 2, 3, padding=1)
    layers["output_conv2"] = nn.Sequential(
        nn.Conv2d(features // 2, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 1, 1), nn.ReLU()
    )
    return layers


def _resize(image: Tensor, size: Sequence[int]) -> Tensor:
    return nnf.interpolate(image, tuple(size), mode="bilinear", align_corners=True)
