"""The network of Video Depth Anything and its published sizes."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stereozero.depth.video_depth_anything.encoder import Encoder
from stereozero.depth.video_depth_anything.head import TemporalHead
from stereozero.errors import InputError
from stereozero.wording import suggest

_FRAMES_AT_ONCE = 8  # in the encoder, which knows no time


@dataclass(frozen=True)
class Size:
    """One network's fixed choices.

    Attributes:
        width: channels of the encoder.
        blocks: of the encoder.
        heads: of its attention.
        taps: indices of the blocks whose tokens go to the head.
        channels: of the head's four levels, fine to coarse.
        features: channels while the head merges them.
    """

    width: int
    blocks: int
    heads: int
    taps: Sequence[int]
    channels: Sequence[int]
    features: int


SIZES = {
    "vits": Size(384, 12, 6, (2, 5, 8, 11), (48, 96, 192, 384), 64),
    "vitl": Size(1024, 24, 16, (4, 11, 17, 23), (256, 512, 1024, 1024), 256),
}
"""The published networks for relative depth: 29 and 384 million parameters."""


class VideoDepthAnything(nn.Module):
    """DINOv2 encoder, frame by frame, and a head that looks at up to 32 frames."""

    def __init__(self, size: Size):
        super().__init__()
        self.pretrained = Encoder(size.width, size.blocks, size.heads, size.taps)
        self.head = TemporalHead(size.width, size.channels, size.features)

    def forward(self, clip: Tensor) -> Tensor:
        """Estimate relative inverse depth, larger is nearer.

        Args:
            clip: (F, 3, H, W), F at most 32, normalised with ImageNet's mean and standard deviation; sides multiples
                of 14.

        Returns:
            (F, H, W) float32, not negative.
        """
        parts = [self.pretrained(frames) for frames in clip.split(_FRAMES_AT_ONCE)]
        maps = [torch.cat(levels) for levels in zip(*parts, strict=True)]  # four of (F, width, H / 14, W / 14)
        return self.head(maps, len(clip))


def size_named(name: str) -> Size:
    """Return a published size.

    Raises:
        InputError: there is none of this name.
    """
    if name not in SIZES:
        raise InputError(f"Video Depth Anything: there is no size '{name}'{suggest(name, SIZES)}")
    return SIZES[name]
