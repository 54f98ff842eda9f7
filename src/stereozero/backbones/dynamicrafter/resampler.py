"""Projection of CLIP image tokens to the tokens that the UNet attends to.

Layout learned from Doubiiu/DynamiCrafter (Apache-2.0), lvdm/modules/encoders/resampler.py; parameter names are the
official ones.
"""

import torch
import torch.nn.functional as nnf
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn


class Resampler(ModelMixin, ConfigMixin):
    """Perceiver-style resampler: learned queries attend to the image tokens and to themselves.

    The defaults are the official models'.

    Args:
        dim: width inside.
        depth: layers.
        dim_head, heads: width and number of the attention heads.
        num_queries: tokens returned, a frame if there are frames.
        embedding_dim: width of the image tokens.
        output_dim: width of the tokens returned.
        ff_mult: width of the feed-forward layers in units of ``dim``.
        video_length: F for a set of tokens a frame; None for one set shared by all.
    """

    @register_to_config
    def __init__(
        self,
        dim: int = 1024,
        depth: int = 4,
        dim_head: int = 64,
        heads: int = 12,
        num_queries: int = 16,
        embedding_dim: int = 1280,
        output_dim: int = 1024,
        ff_mult: int = 4,
        video_length: int | None = 16,
    ):
        super().__init__()
        self.latents = nn.Parameter(torch.randn(1, num_queries * (video_length or 1), dim) / dim**0.5)
        self.proj_in = nn.Linear(embedding_dim, dim)
        self.proj_out = nn.Linear(dim, output_dim)
        self.norm_out = nn.LayerNorm(output_dim)
        self.layers = nn.ModuleList(
            nn.ModuleList([PerceiverAttention(dim, dim_head, heads), _feed_forward(dim, ff_mult)]) for _ in range(depth)
        )

    def forward(self, image_tokens: Tensor) -> Tensor:
        """Project image tokens.

        Args:
            image_tokens: (B, L, embedding_dim), class token included.

        Returns:
            (B, F, num_queries, output_dim), or (B, num_queries, output_dim) without ``video_length``: what
            :class:`~stereozero.backbones.dynamicrafter.unet.VideoUNet` takes as ``image``.
        """
        queries = self.latents.expand(len(image_tokens), -1, -1)  # (B, Q, dim)
        source = self.proj_in(image_tokens)  # (B, L, dim)
        for attention, feed_forward in self.layers:
            queries = queries + attention(source, queries)  # (B, Q, dim)
            queries = queries + feed_forward(queries)  # (B, Q, dim)
        tokens = self.norm_out(self.proj_out(queries))  # (B, Q, output_dim)
        frames = self.config.video_length
        return tokens if frames is None else tokens.unflatten(1, (frames, -1))


class PerceiverAttention(nn.Module):
    """Attention of the queries to the image tokens and the queries together."""

    def __init__(self, dim: int, dim_head: int, heads: int):
        super().__init__()
        inner = dim_head * heads
        self.heads = heads
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.to_q = nn.Linear(dim, inner, bias=False)
        self.to_kv = nn.Linear(dim, 2 * inner, bias=False)
        self.to_out = nn.Linear(inner, dim, bias=False)

    def forward(self, source: Tensor, queries: Tensor) -> Tensor:
        """Map source (B, L, dim) and queries (B, Q, dim) to (B, Q, dim)."""
        source, queries = self.norm1(source), self.norm2(queries)
        key, value = self.to_kv(torch.cat([source, queries], dim=1)).chunk(2, dim=-1)  # (B, L + Q, inner) each
        query, key, value = (
            x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in (self.to_q(queries), key, value)
        )  # (B, heads, L, dim_head)
        attended = nnf.scaled_dot_product_attention(query, key, value)  # (B, heads, Q, dim_head)
        return self.to_out(attended.transpose(1, 2).flatten(2))  # (B, Q, dim)


def _feed_forward(dim: int, mult: int) -> nn.Sequential:
    return nn.Sequential(
        nn.LayerNorm(dim), nn.Linear(dim, mult * dim, bias=False), nn.GELU(), nn.Linear(mult * dim, dim, bias=False)
    )
