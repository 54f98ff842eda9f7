"""Text and image conditioning with an open_clip model, which is used as it is.

Which layers are read and how the picture is prepared was learned from Doubiiu/DynamiCrafter (Apache-2.0),
lvdm/modules/encoders/condition.py; kornia's resize, which it calls, is described in clip_conditioning.json.
"""

import logging
import math
from collections.abc import Sequence

import open_clip
import torch
import torch.nn.functional as nnf
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from open_clip.tokenizer import SimpleTokenizer
from torch import Tensor

logger = logging.getLogger(__name__)

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


class ClipConditioner(ModelMixin, ConfigMixin):
    """An open_clip CLIP model read at the layers that DynamiCrafter was trained with.

    Args:
        embed_dim, vision_cfg, text_cfg: open_clip's model configuration; see :func:`vit_h_14_config`.
        text_layers_skipped: transformer blocks of the text tower that are left out at the end; 1 is "penultimate".
    """

    @register_to_config
    def __init__(self, embed_dim: int, vision_cfg: dict, text_cfg: dict, text_layers_skipped: int = 1):
        super().__init__()
        self.model = open_clip.CLIP(embed_dim, dict(vision_cfg), dict(text_cfg))
        self._tokenizer = SimpleTokenizer(context_length=self.model.context_length)

    def tokenize(self, prompts: Sequence[str]) -> Tensor:
        """Return (B, context length) int64 token ids: start, words, end, zeros.

        A prompt that is too long is cut, its last place taken by the end token, and a warning says so.
        """
        room = self.model.context_length - 2  # start and end
        for prompt in prompts:
            words = len(self._tokenizer.encode(prompt))
            if words > room:
                logger.warning("prompt has %d tokens, only the first %d are used: %.60s...", words, room, prompt)
        return self._tokenizer(list(prompts))  # (B, context length)

    def encode_text(self, prompts: Sequence[str]) -> Tensor:
        """Return (B, context length, text width): the tokens after the last block but ``text_layers_skipped``, normed.

        No pooling and no projection. Padding is not masked.
        """
        tokens = self.tokenize(prompts).to(self.device)  # (B, context length)
        last = len(self.model.transformer.resblocks) - 1 - self.config.text_layers_skipped
        outputs = self.model.forward_intermediates(
            text=tokens, text_indices=[last], normalize_intermediates=True, intermediates_only=True
        )
        return outputs["text_intermediates"][0]  # (B, context length, text width)

    def encode_image(self, images: Tensor) -> Tensor:
        """Return (B, 1 + patches, vision width): class token, then patches row by row, after the last block.

        No final norm, pooling or projection.

        Args:
            images: (B, 3, H, W) in [-1, 1], any size.
        """
        prepared = prepare_image(images, self.model.visual.image_size[0])  # (B, 3, S, S)
        outputs = self.model.forward_intermediates(
            image=prepared.to(self.dtype),
            image_indices=1,
            intermediates_only=True,
            image_output_fmt="NLC",
            image_output_extra_tokens=True,
        )
        # One class token, then the patches, as they stood in the sequence.
        return torch.cat([outputs["image_intermediates_prefix"][0], outputs["image_intermediates"][0]], dim=1)

    def restore_buffers(self) -> None:
        """Rebuild the causal mask, which no file stores, after construction on the meta device."""
        length = self.model.context_length
        mask = torch.full((length, length), -math.inf, device=self.device).triu_(1)  # (L, L)
        self.model.attn_mask = mask


def vit_h_14_config() -> dict:
    """Return the constructor arguments for ViT-H/14, the official models' encoder."""
    config = open_clip.get_model_config("ViT-H-14")
    return {name: config[name] for name in ("embed_dim", "vision_cfg", "text_cfg")}


def prepare_image(images: Tensor, size: int) -> Tensor:
    """Resize to ``size`` x ``size`` (aspect ratio not kept, nothing cropped) and normalise for CLIP.

    Bicubic with corners aligned; where an axis shrinks, a Gaussian of sigma (factor - 1) / 2 goes first. Overshoot is
    not clamped. Reference: kornia.geometry.resize with antialias, as called by DynamiCrafter.

    Args:
        images: (B, 3, H, W) in [-1, 1].
        size: pixels.

    Returns:
        (B, 3, size, size), normalised with CLIP's mean and standard deviation.
    """
    factors = [length / size for length in images.shape[-2:]]
    if max(factors) > 1:
        images = _blur(images, factors)  # (B, 3, H, W)
    resized = nnf.interpolate(images, (size, size), mode="bicubic", align_corners=True)  # (B, 3, size, size)
    mean = resized.new_tensor(CLIP_MEAN)[:, None, None]  # (3, 1, 1)
    std = resized.new_tensor(CLIP_STD)[:, None, None]  # (3, 1, 1)
    return ((resized + 1) / 2 - mean) / std


def _blur(images: Tensor, factors: Sequence[float]) -> Tensor:
    channels = images.shape[1]
    rows, columns = (_gaussian(factor).to(images) for factor in factors)
    padding = (len(columns) // 2, len(columns) // 2, len(rows) // 2, len(rows) // 2)
    padded = nnf.pad(images, padding, mode="reflect")  # (B, 3, H + 2 p, W + 2 q)
    blurred = nnf.conv2d(padded, rows.view(1, 1, -1, 1).expand(channels, -1, -1, -1), groups=channels)
    return nnf.conv2d(blurred, columns.view(1, 1, 1, -1).expand(channels, -1, -1, -1), groups=channels)


def _gaussian(factor: float) -> Tensor:
    # An axis that doesn't shrink gets sigma 0.001, a kernel of 0, 1, 0: only the other axis is blurred.
    sigma = max((factor - 1) / 2, 0.001)
    length = int(max(4 * sigma, 3))
    length += 1 - length % 2
    offset = torch.arange(length, dtype=torch.float32) - length // 2  # (length,)
    weights = torch.exp(-(offset**2) / (2 * sigma**2))  # (length,)
    return weights / weights.sum()
