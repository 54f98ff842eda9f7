"""Text and image conditioning with an open_clip model, which is used as it is.

Which layers are read and how the picture is prepared was learned from Doubiiu/DynamiCrafter (Apache-2.0),
lvdm/modules/encoders/condition.py.
"""

import logging
import math
from collections.abc import Sequence

import open_clip
import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from stereozero.backbones.clip_image import prepare_image
from stereozero.backbones.clip_text import UNKNOWN, ClipTokenizer

logger = logging.getLogger(__name__)


class ClipConditioner(ModelMixin, ConfigMixin):
    """An open_clip CLIP model read at the layers that DynamiCrafter was trained with.

    Args:
        embed_dim, vision_cfg, text_cfg: open_clip's model configuration; see :func:`vit_h_14_config`.
        text_layers_skipped: transformer blocks of the text tower that are left out at the end; 1 is "penultimate".
        known_tokens: ids of the tokens that have an embedding, ascending; text_cfg's vocab_size is then one more than
            they are. None, as in all published models: all have.
    """

    @register_to_config
    def __init__(
        self,
        embed_dim: int,
        vision_cfg: dict,
        text_cfg: dict,
        text_layers_skipped: int = 1,
        known_tokens: list[int] | None = None,
    ):
        super().__init__()
        self.model = open_clip.CLIP(embed_dim, dict(vision_cfg), dict(text_cfg))
        self.tokenizer = ClipTokenizer(self.model.context_length, known_tokens)
        if known_tokens is not None:
            self.model.token_embedding.padding_idx = UNKNOWN  # which keeps gradients from it
            nn.init.zeros_(self.model.token_embedding.weight[UNKNOWN])

    def tokenize(self, prompts: Sequence[str]) -> Tensor:
        """Return (B, context length) int64 tokens: start, words, end, padding.

        A prompt that is too long is cut, its last place taken by the end token, and a warning says so.
        """
        room = self.model.context_length
        for prompt in prompts:
            length = self.tokenizer.length(prompt)
            if length > room:
                words = length - 2  # without start and end
                logger.warning("prompt has %d tokens, only the first %d are used: %.60s...", words, room - 2, prompt)
        return self.tokenizer(prompts)  # (B, context length)

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
