"""DUSt3R (arXiv 2312.14132): the points of two views in one frame, from the images alone.

An encoder sees each image by itself. Two decoders, one a view, exchange what they know at every layer: they have the
same layout and different weights, because both answer in the frame of view 1. A DPT head a view gives the points.
Behaviour learned from naver/dust3r (CC BY-NC-SA 4.0), as are the parameter names; the code is our own.
"""

from dataclasses import dataclass
from typing import NamedTuple, Self, TypeVar

import torch
from torch import Tensor, nn

from stereozero.metrics.met3r.croco_vit import (
    NORM_EPS,
    DecoderBlock,
    EncoderBlock,
    Rotation,
    patch_positions,
    rotation_of,
)
from stereozero.metrics.met3r.dpt_head import DptHead, Grid
from stereozero.metrics.met3r.geometry import PairPoints, PointMap, check_pairs

PATCH = 16  # [px]
_SMALLEST_LENGTH = 1e-8
Maps = TypeVar("Maps", bound=tuple)  # named values of every pixel, each (B, H, W, ...)


@dataclass(frozen=True)
class Dust3rConfig:
    """Sizes; the defaults are the official models' (ViT-Large encoder, base decoder).

    Args:
        encoder_dim, encoder_depth, encoder_heads: width, layers and heads of the encoder.
        decoder_dim, decoder_depth, decoder_heads: those of each decoder.
        landscape_only: give the results of portrait images transposed, as in training. MEt3R does not.
    """

    encoder_dim: int = 1024
    encoder_depth: int = 24
    encoder_heads: int = 16
    decoder_dim: int = 768
    decoder_depth: int = 12
    decoder_heads: int = 12
    landscape_only: bool = False


class ViewLevels(NamedTuple):
    """What a view's head gets: tokens (B, L, dim) of the encoder and of three depths of the view's decoder."""

    encoded: Tensor
    half: Tensor
    three_quarters: Tensor
    decoded: Tensor


class PointHead(nn.Module):
    """Points and confidence of one view."""

    def __init__(self, config: Dust3rConfig):
        super().__init__()
        self.dpt = DptHead(config.encoder_dim, config.decoder_dim, outputs=4)

    def forward(self, levels: ViewLevels, grid: Grid) -> PointMap:
        """Return the point map of a view; see :func:`point_map_of`."""
        return point_map_of(self.dpt(levels, grid))


class PatchEmbedding(nn.Module):
    """Tokens of an image's patches."""

    def __init__(self, dim: int):
        super().__init__()
        self.proj = nn.Conv2d(3, dim, PATCH, stride=PATCH)

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, 3, H, W) to (B, L, dim), row by row."""
        return self.proj(images).flatten(2).transpose(1, 2)


class Dust3r(nn.Module):
    """The network; a :class:`~stereozero.metrics.met3r.geometry.PairGeometry`.

    Attributes:
        title, repository: the model's name, and where it is published on the Hugging Face hub.
        size_factor: what height and width must be multiples of [px].
    """

    title = "DUSt3R"
    repository = "naver/DUSt3R_ViTLarge_BaseDecoder_512_dpt"
    size_factor = PATCH
    head_class = PointHead

    def __init__(self, config: Dust3rConfig | None = None):
        super().__init__()
        self.config = config = config or Dust3rConfig()
        self.patch_embed = PatchEmbedding(config.encoder_dim)
        self.enc_blocks = nn.ModuleList(
            EncoderBlock(config.encoder_dim, config.encoder_heads) for _ in range(config.encoder_depth)
        )
        self.enc_norm = nn.LayerNorm(config.encoder_dim, eps=NORM_EPS)
        self.decoder_embed = nn.Linear(config.encoder_dim, config.decoder_dim)
        self.dec_blocks, self.dec_blocks2 = (
            nn.ModuleList(DecoderBlock(config.decoder_dim, config.decoder_heads) for _ in range(config.decoder_depth))
            for _ in range(2)
        )
        self.dec_norm = nn.LayerNorm(config.decoder_dim, eps=NORM_EPS)
        self.downstream_head1 = self.head_class(config)
        self.downstream_head2 = self.head_class(config)

    @classmethod
    def on_meta(cls, config: Dust3rConfig | None = None) -> Self:
        """Build the network on the meta device: shapes without memory."""
        with torch.device("meta"):
            return cls(config)

    def forward(self, view1: Tensor, view2: Tensor) -> PairPoints:
        """Predict the points of both views in the frame of view 1.

        Args:
            view1, view2: (B, 3, H, W) in [-1, 1], sides multiples of 16.
        """
        grid = patch_grid(view1)
        levels1, levels2 = self.decode(*self.encode(view1, view2), grid)
        return self._points(levels1, levels2, grid)

    @torch.no_grad()
    def predict_pair(self, images: Tensor) -> PairPoints:
        """Return the points of view 1 and of view 2, both in the frame of view 1, without gradients.

        Args:
            images: (B, 2, 3, H, W) in [-1, 1].

        Raises:
            InputError: another shape, or sides that are no multiples of 16.
        """
        return self(*self._views(images))

    @torch.no_grad()
    def predict_both_ways(self, images: Tensor) -> tuple[PairPoints, PairPoints]:
        """Return :meth:`predict_pair` of the images and of the images with the views exchanged, encoding them once.

        Raises:
            InputError: see :meth:`predict_pair`.
        """
        view1, view2 = self._views(images)
        grid = patch_grid(view1)
        tokens1, tokens2 = self.encode(view1, view2)
        levels = self.decode(torch.cat([tokens1, tokens2]), torch.cat([tokens2, tokens1]), grid)
        first, second = self._points(*levels, grid)  # of both orders, one behind the other
        (first_there, first_back), (second_there, second_back) = _halves(first), _halves(second)
        return (first_there, second_there), (first_back, second_back)

    def encode(self, view1: Tensor, view2: Tensor) -> tuple[Tensor, Tensor]:
        """Encode two batches of images (B, 3, H, W) of one size; returns (B, L, encoder_dim) for each."""
        tokens = self.patch_embed(torch.cat([view1, view2]))  # (2 * B, L, encoder_dim)
        rotation = self._rotation(patch_grid(view1), self.config.encoder_dim // self.config.encoder_heads)
        for block in self.enc_blocks:
            tokens = block(tokens, rotation)  # (2 * B, L, encoder_dim)
        tokens1, tokens2 = self.enc_norm(tokens).chunk(2)  # (B, L, encoder_dim) each
        return tokens1, tokens2

    def decode(self, encoded1: Tensor, encoded2: Tensor, grid: Grid) -> tuple[ViewLevels, ViewLevels]:
        """Let the views exchange what they know.

        Args:
            encoded1, encoded2: (B, L, encoder_dim), from :meth:`encode`.
            grid: rows and columns of patches.
        """
        depth = self.config.decoder_depth
        rotation = self._rotation(grid, self.config.decoder_dim // self.config.decoder_heads)
        tokens1, tokens2 = self.decoder_embed(encoded1), self.decoder_embed(encoded2)  # (B, L, decoder_dim) each
        layers = []
        for block1, block2 in zip(self.dec_blocks, self.dec_blocks2, strict=True):
            tokens1, tokens2 = block1(tokens1, tokens2, rotation), block2(tokens2, tokens1, rotation)
            layers.append((tokens1, tokens2))
        half, three_quarters = layers[depth // 2 - 1], layers[depth * 3 // 4 - 1]
        return (
            ViewLevels(encoded1, half[0], three_quarters[0], self.dec_norm(tokens1)),
            ViewLevels(encoded2, half[1], three_quarters[1], self.dec_norm(tokens2)),
        )

    def _points(self, levels1: ViewLevels, levels2: ViewLevels, grid: Grid) -> PairPoints:
        return (
            self._oriented(self.downstream_head1(levels1, grid)),
            self._oriented(self.downstream_head2(levels2, grid)),
        )

    def _views(self, images: Tensor) -> tuple[Tensor, Tensor]:
        check_pairs(images, self.title, PATCH)
        view1, view2 = images.to(self.dec_norm.weight).unbind(1)  # (B, 3, H, W) each
        return view1, view2

    def _rotation(self, grid: Grid, head_channels: int) -> Rotation:
        return rotation_of(patch_positions(*grid, device=self.dec_norm.weight.device), head_channels)

    def _oriented(self, maps: Maps) -> Maps:
        return type(maps)(*map(_to_landscape, maps)) if self.config.landscape_only else maps


def patch_grid(images: Tensor) -> Grid:
    """Return the rows and columns of patches of images (B, 3, H, W)."""
    height, width = images.shape[-2:]
    return height // PATCH, width // PATCH


def point_map_of(raw: Tensor) -> PointMap:
    """Turn a head's output into points and confidence.

    A raw vector keeps its direction and its length l becomes exp(l) - 1; the confidence is 1 + exp(raw).

    Args:
        raw: (B, 4, H, W), three coordinates and a confidence.
    """
    vectors = raw[:, :3].permute(0, 2, 3, 1)  # (B, H, W, 3)
    length = vectors.norm(dim=-1, keepdim=True)  # (B, H, W, 1)
    points = vectors / length.clamp(min=_SMALLEST_LENGTH) * length.expm1()  # (B, H, W, 3)
    return PointMap(points, 1 + raw[:, 3].exp())


def _to_landscape(values: Tensor) -> Tensor:
    # (B, H, W, ...) of a portrait to (B, W, H, ...)
    return values.transpose(1, 2) if values.shape[1] > values.shape[2] else values


def _halves(maps: PointMap) -> tuple[PointMap, PointMap]:
    points, confidence = (values.chunk(2) for values in maps)
    return PointMap(points[0], confidence[0]), PointMap(points[1], confidence[1])
