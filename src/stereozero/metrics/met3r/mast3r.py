"""MASt3R (arXiv 2406.09756): DUSt3R trained for metric points, with a descriptor for every pixel.

MEt3R uses the points alone, so the descriptors are computed only when they are asked for. Behaviour learned from
naver/mast3r (CC BY-NC-SA 4.0), as are the parameter names; the code is our own.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as nnf
from torch import Tensor

from stereozero.metrics.met3r.croco_vit import Mlp
from stereozero.metrics.met3r.dpt_head import Grid
from stereozero.metrics.met3r.dust3r import (
    PATCH,
    Dust3r,
    Dust3rConfig,
    PointHead,
    ViewLevels,
    patch_grid,
)

DESCRIPTOR = 24  # channels


class DescriptorMap(NamedTuple):
    """Unit descriptors of one view's pixels, and their confidence, which is positive."""

    descriptors: Tensor  # (B, H, W, 24)
    confidence: Tensor  # (B, H, W)


class PointAndDescriptorHead(PointHead):
    """Points and confidence of one view, and on request descriptors with a confidence of their own."""

    def __init__(self, config: Dust3rConfig):
        super().__init__(config)
        width = config.encoder_dim + config.decoder_dim
        self.head_local_features = Mlp(width, 4 * width, (DESCRIPTOR + 1) * PATCH**2)

    def describe(self, levels: ViewLevels, grid: Grid) -> DescriptorMap:
        """Return the descriptors of a view."""
        tokens = torch.cat([levels.encoded, levels.decoded], dim=-1)  # (B, L, encoder_dim + decoder_dim)
        patches = self.head_local_features(tokens).transpose(1, 2).unflatten(2, grid)  # (B, 25 * 256, rows, columns)
        raw = nnf.pixel_shuffle(patches, PATCH).permute(0, 2, 3, 1)  # (B, H, W, 25)
        return DescriptorMap(nnf.normalize(raw[..., :DESCRIPTOR], dim=-1), raw[..., DESCRIPTOR].exp())


class Mast3r(Dust3r):
    """The network; a :class:`~stereozero.metrics.met3r.geometry.PairGeometry`."""

    title = "MASt3R"
    repository = "naver/MASt3R_ViTLarge_BaseDecoder_512_catmlpdpt_metric"
    head_class = PointAndDescriptorHead

    def describe(self, view1: Tensor, view2: Tensor) -> tuple[DescriptorMap, DescriptorMap]:
        """Return the descriptors of both views' pixels; the arguments are those of :meth:`forward`."""
        grid = patch_grid(view1)
        levels1, levels2 = self.decode(*self.encode(view1, view2), grid)
        return (
            self._oriented(self.downstream_head1.describe(levels1, grid)),
            self._oriented(self.downstream_head2.describe(levels2, grid)),
        )
