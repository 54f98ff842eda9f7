"""Convolutional layers of the DynamiCrafter UNet; all map (B * F, C, h, w) features, given the step's inputs."""

import torch.nn.functional as nnf
from torch import Tensor, nn

from stereozero.backbones.dynamicrafter.attention import zero_initialised
from stereozero.backbones.dynamicrafter.step_inputs import StepInputs

_TEMPORAL_DROPOUT = 0.1  # a constant of the reference, independent of its dropout setting


class Stage(nn.Sequential):
    """Layers in sequence, each given the step's inputs."""

    def forward(self, features: Tensor, step: StepInputs) -> Tensor:
        """Map (B * F, C, h, w) through all layers."""
        for layer in self:
            features = layer(features, step)
        return features


class InputConvolution(nn.Conv2d):
    """The UNet's first layer."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(in_channels, out_channels, kernel_size=3, padding=1)

    def forward(self, features: Tensor, step: StepInputs) -> Tensor:
        """Map (B * F, in, h, w) to (B * F, out, h, w)."""
        return super().forward(features)


class ResidualBlock(nn.Module):
    """Two convolutions with the embedding added in between, a skip connection, then a temporal convolution block."""

    def __init__(self, in_channels: int, out_channels: int, embedding: int, dropout: float, norm_groups: int):
        super().__init__()
        self.in_layers = nn.Sequential(
            nn.GroupNorm(norm_groups, in_channels), nn.SiLU(), nn.Conv2d(in_channels, out_channels, 3, padding=1)
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embedding, out_channels))
        self.out_layers = nn.Sequential(
            nn.GroupNorm(norm_groups, out_channels),
            nn.SiLU(),
            nn.Dropout(dropout),
            zero_initialised(nn.Conv2d(out_channels, out_channels, 3, padding=1)),
        )
        same = in_channels == out_channels
        self.skip_connection = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1)
        self.temporal_conv = TemporalConvolutionBlock(out_channels, norm_groups)

    def forward(self, features: Tensor, step: StepInputs) -> Tensor:
        """Map (B * F, in, h, w) to (B * F, out, h, w)."""
        shift = self.emb_layers(step.embedding).repeat_interleave(step.frames, dim=0)  # (B * F, out)
        hidden = self.in_layers(features) + shift[:, :, None, None]  # (B * F, out, h, w)
        features = self.skip_connection(features) + self.out_layers(hidden)  # (B * F, out, h, w)
        video = self.temporal_conv(step.as_video(features))  # (B, out, F, h, w)
        return video.transpose(1, 2).flatten(0, 1)  # (B * F, out, h, w)


class TemporalConvolutionBlock(nn.Module):
    """Four convolutions of width 3 along time, added to the input."""

    def __init__(self, channels: int, norm_groups: int):
        super().__init__()
        self.conv1 = nn.Sequential(*_temporal_layers(channels, norm_groups, dropout=False))
        self.conv2 = nn.Sequential(*_temporal_layers(channels, norm_groups, dropout=True))
        self.conv3 = nn.Sequential(*_temporal_layers(channels, norm_groups, dropout=True))
        self.conv4 = nn.Sequential(*_temporal_layers(channels, norm_groups, dropout=True))
        zero_initialised(self.conv4[-1])

    def forward(self, video: Tensor) -> Tensor:
        """Map (B, C, F, h, w) to the same shape."""
        return video + self.conv4(self.conv3(self.conv2(self.conv1(video))))


class TemporalConvolution(nn.Conv3d):
    """Convolution of width 3 along time, computed as a 2D convolution over (frames, positions).

    The weight is stored as a 3D one. torch's 3D convolution is not called: on CPUs with bfloat16 instructions its
    weight gradient came out infinite for clips of two frames (torch 2.15, oneDNN), and it is a little slower.
    """

    def __init__(self, channels: int):
        super().__init__(channels, channels, kernel_size=(3, 1, 1), padding=(1, 0, 0))

    def forward(self, video: Tensor) -> Tensor:
        """Map (B, C, F, h, w) to the same shape."""
        planes = nnf.conv2d(video.flatten(3), self.weight[..., 0], self.bias, padding=(1, 0))  # (B, C, F, h * w)
        return planes.unflatten(3, video.shape[3:])


class Downsample(nn.Module):
    """Halve height and width with a strided convolution."""

    def __init__(self, channels: int):
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, features: Tensor, step: StepInputs) -> Tensor:
        """Map (B * F, C, h, w) to (B * F, C, h / 2, w / 2)."""
        return self.op(features)


class Upsample(nn.Module):
    """Double height and width by repetition, then convolve."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, features: Tensor, step: StepInputs) -> Tensor:
        """Map (B * F, C, h, w) to (B * F, C, 2 h, 2 w)."""
        return self.conv(nnf.interpolate(features, scale_factor=2, mode="nearest"))


def _temporal_layers(channels: int, norm_groups: int, *, dropout: bool) -> list[nn.Module]:
    # The position of the convolution in the list is part of the official key names.
    layers: list[nn.Module] = [nn.GroupNorm(norm_groups, channels), nn.SiLU()]
    if dropout:
        layers.append(nn.Dropout(_TEMPORAL_DROPOUT))
    return [*layers, TemporalConvolution(channels)]
