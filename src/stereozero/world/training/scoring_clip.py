"""Training of the embedded CLIP that scores, apart from the generator's encoder, on frames as scoring prepares them."""

import torch
import torch.nn.functional as nnf
from torch import Tensor

from stereozero.backbones.clip_image import CLIP_MEAN, CLIP_STD
from stereozero.metrics.clip import Preparation
from stereozero.world.training.clip import ClipSettings, ClipTask
from stereozero.world.training.loop import Optimisation

SETTINGS = ClipSettings(text_width=16, text_layers=4, how=Optimisation(rate=2e-3, warmup=100, seed=1))
"""Another seed and a narrower text tower than the generator's, so that scoring and generating share no mistakes."""


class ScoringClipTask(ClipTask):
    """The contrastive loss of frames and captions; each step crops or squeezes its frames to a square."""

    def _compare(self, pixels: Tensor, tokens: Tensor) -> Tensor:
        preparation: Preparation = "crop" if torch.rand(()) < 0.5 else "squeeze"  # the training seeds each step
        model = self.module.model
        pictures = to_squares(pixels, model.visual.image_size[0], preparation)  # (B, 3, S, S)
        return model.encode_image(pictures, normalize=True) @ model.encode_text(tokens, normalize=True).T


def to_squares(pixels: Tensor, size: int, preparation: Preparation) -> Tensor:
    """Prepare frames as `stereozero.metrics.clip_encoder.prepare_frames` does, but without rounding to 8 bits.

    Args:
        pixels: (B, 3, H, W) in [-1, 1].
        size: side of the square [px].
        preparation: "crop" or "squeeze".

    Returns:
        (B, 3, size, size), normalised for CLIP.
    """
    if preparation == "crop":
        height, width = pixels.shape[-2:]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        pixels = pixels[..., top : top + side, left : left + side]  # (B, 3, side, side)
    resized = nnf.interpolate(pixels, (size, size), mode="bicubic", antialias=True)  # (B, 3, S, S)
    mean, std = (resized.new_tensor(values)[:, None, None] for values in (CLIP_MEAN, CLIP_STD))
    return ((resized + 1) / 2 - mean) / std
