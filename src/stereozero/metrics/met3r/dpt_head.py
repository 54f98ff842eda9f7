"""The dense prediction head of DUSt3R and MASt3R: DPT (arXiv 2103.13413) on four levels of tokens.

Parameter names are the official ones.
"""

from collections.abc import Sequence

import torch.nn.functional as nnf
from torch import Tensor, nn

FEATURES = 256  # channels while the levels are fused
LEVEL_CHANNELS = (96, 192, 384, 768)  # of the four levels, finest first
LAST_CHANNELS = 128

Grid = tuple[int, int]  # rows and columns of patches


class DptHead(nn.Module):
    """Values for every pixel from tokens of patches of 16 x 16 pixels.

    Args:
        encoder_dim: width of the first level's tokens.
        decoder_dim: width of the other three levels' tokens.
        outputs: values a pixel.
    """

    def __init__(self, encoder_dim: int, decoder_dim: int, outputs: int):
        super().__init__()
        finest, fine, middle, coarse = LEVEL_CHANNELS
        self.act_postprocess = nn.ModuleList(
            [
                nn.Sequential(nn.Conv2d(encoder_dim, finest, 1), nn.ConvTranspose2d(finest, finest, 4, stride=4)),
                nn.Sequential(nn.Conv2d(decoder_dim, fine, 1), nn.ConvTranspose2d(fine, fine, 2, stride=2)),
                nn.Sequential(nn.Conv2d(decoder_dim, middle, 1)),
                nn.Sequential(nn.Conv2d(decoder_dim, coarse, 1), nn.Conv2d(coarse, coarse, 3, stride=2, padding=1)),
            ]
        )
        self.scratch = LevelFusion()
        self.head = nn.Sequential(
            nn.Conv2d(FEATURES, LAST_CHANNELS, 3, padding=1),
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
            nn.Conv2d(LAST_CHANNELS, LAST_CHANNELS, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(LAST_CHANNELS, outputs, 1),
        )

    def forward(self, levels: Sequence[Tensor], grid: Grid) -> Tensor:
        """Predict.

        Args:
            levels: four times (B, rows * columns, dim): tokens of the encoder, then of three depths of the decoder.
            grid: rows and columns of patches.

        Returns:
            (B, outputs, 16 * rows, 16 * columns)
        """
        maps = [
            resample(tokens.transpose(1, 2).unflatten(2, grid))
            for resample, tokens in zip(self.act_postprocess, levels, strict=True)
        ]  # (B, LEVEL_CHANNELS, ...) with 4, 2, 1 and 1/2 cells a patch and side
        return self.head(self.scratch(maps))  # (B, outputs, 16 * rows, 16 * columns)


class LevelFusion(nn.Module):
    """Joins the four levels, coarsest first."""

    def __init__(self):
        super().__init__()
        self.layer1_rn, self.layer2_rn, self.layer3_rn, self.layer4_rn = (
            nn.Conv2d(channels, FEATURES, 3, padding=1, bias=False) for channels in LEVEL_CHANNELS
        )
        self.refinenet1 = FusionBlock()
        self.refinenet2 = FusionBlock()
        self.refinenet3 = FusionBlock()
        self.refinenet4 = FusionBlock()

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Map four levels, finest first, to (B, FEATURES, h, w) of twice the finest level's size."""
        finest, fine, middle, coarse = maps
        coarse = self.refinenet4(self.layer4_rn(coarse))
        rows, columns = middle.shape[-2:]
        fused = coarse[:, :, :rows, :columns]  # halving an odd side rounds up: doubling it overshoots
        fused = self.refinenet3(fused, self.layer3_rn(middle))
        fused = self.refinenet2(fused, self.layer2_rn(fine))
        return self.refinenet1(fused, self.layer1_rn(finest))


class FusionBlock(nn.Module):
    """Adds a level to what the coarser ones gave, and doubles the size.

    The coarsest level has nothing to be added to: ``resConfUnit1`` of its block is in the checkpoints, but never used.
    """

    def __init__(self):
        super().__init__()
        self.resConfUnit1 = ResidualUnit()
        self.resConfUnit2 = ResidualUnit()
        self.out_conv = nn.Conv2d(FEATURES, FEATURES, 1)

    def forward(self, fused: Tensor, level: Tensor | None = None) -> Tensor:
        """Map (B, FEATURES, h, w), and a level of the same shape, to (B, FEATURES, 2 * h, 2 * w)."""
        if level is not None:
            fused = fused + self.resConfUnit1(level)  # (B, FEATURES, h, w)
        fused = self.resConfUnit2(fused)
        # The reference enlarges first; a 1x1 convolution commutes with that and is four times cheaper before it.
        fused = self.out_conv(fused)
        return nnf.interpolate(fused, scale_factor=2, mode="bilinear", align_corners=True)


class ResidualUnit(nn.Module):
    """Two convolutions, each after a ReLU, with a residual."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(FEATURES, FEATURES, 3, padding=1)
        self.conv2 = nn.Conv2d(FEATURES, FEATURES, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, FEATURES, h, w) to the same shape."""
        inner = self.conv1(nnf.relu(features))
        return features + self.conv2(nnf.relu(inner))
