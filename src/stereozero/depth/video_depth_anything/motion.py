"""Attention over time, which makes Video Depth Anything out of an image model.

Layout of AnimateDiff's motion module (Apache-2.0); parameter names are the official ones.
"""

import math

import torch
import torch.nn.functional as nnf
from diffusers.models.attention import FeedForward
from torch import Tensor, nn

MAX_FRAMES = 32
_HEADS = 8
_NORM_GROUPS = 32


class TemporalTransformer(nn.Module):
    """One transformer block over the frames at each position, with residual."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.GroupNorm(_NORM_GROUPS, channels, eps=1e-6)
        self.proj_in = nn.Linear(channels, channels)
        self.transformer_blocks = nn.ModuleList([TemporalBlock(channels)])
        self.proj_out = nn.Linear(channels, channels)

    def forward(self, features: Tensor, frames: int) -> Tensor:
        """Map (B * frames, C, h, w) to the same shape; at most 32 frames."""
        height = features.shape[-2]
        video = self.norm(features).unflatten(0, (-1, frames))  # (B, F, C, h, w)
        tokens = video.flatten(3).permute(0, 3, 1, 2).flatten(0, 1)  # (B * h * w, F, C)
        tokens = self.proj_in(tokens)  # (B * h * w, F, C)
        for block in self.transformer_blocks:
            tokens = block(tokens)  # (B * h * w, F, C)
        tokens = self.proj_out(tokens).unflatten(0, (len(video), -1))  # (B, h * w, F, C)
        return features + tokens.permute(0, 2, 3, 1).flatten(0, 1).unflatten(2, (height, -1))  # (B * F, C, h, w)


class TemporalBlock(nn.Module):
    """Two self-attentions and a feed-forward layer, each with norm before and residual."""

    def __init__(self, channels: int):
        super().__init__()
        self.attention_blocks = nn.ModuleList(TemporalAttention(channels) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(2))
        self.ff = FeedForward(channels, activation_fn="geglu")
        self.ff_norm = nn.LayerNorm(channels)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (N, F, C) to the same shape."""
        for attention, norm in zip(self.attention_blocks, self.norms, strict=True):
            tokens = tokens + attention(norm(tokens))  # (N, F, C)
        return tokens + self.ff(self.ff_norm(tokens))  # (N, F, C)


class TemporalAttention(nn.Module):
    """Multi-head self-attention of tokens that are told their place in time."""

    def __init__(self, channels: int):
        super().__init__()
        self.pos_encoder = PositionEncoding(channels)
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(channels, channels, bias=False)
        self.to_v = nn.Linear(channels, channels, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (N, F, C) to the same shape."""
        tokens = self.pos_encoder(tokens)  # (N, F, C)
        query, key, value = (
            project(tokens).unflatten(-1, (_HEADS, -1)).transpose(1, 2) for project in (self.to_q, self.to_k, self.to_v)
        )  # (N, heads, F, C / heads)
        attended = nnf.scaled_dot_product_attention(query, key, value)  # (N, heads, F, C / heads)
        return self.to_out[0](attended.transpose(1, 2).flatten(2))  # (N, F, C)


class PositionEncoding(nn.Module):
    """Adds sines and cosines of the frame's index; they are stored with the weights."""

    def __init__(self, channels: int):
        super().__init__()
        rates = torch.exp(torch.arange(0, channels, 2) * (-math.log(10000) / channels))  # (C / 2,)
        angles = torch.arange(MAX_FRAMES)[:, None] * rates  # (32, C / 2)
        self.register_buffer("pe", torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[None])  # (1, 32, C)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (N, F, C) to the same shape."""
        return tokens + self.pe[:, : tokens.shape[1]].to(tokens.dtype)
