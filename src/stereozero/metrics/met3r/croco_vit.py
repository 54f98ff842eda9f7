"""Transformer blocks of CroCo (arXiv 2210.10716, 2211.10408), on which DUSt3R and MASt3R stand.

Plain ViT blocks, except that positions enter by rotating queries and keys (RoPE) by an angle for the row and one for
the column of their patch. Parameter names are the official ones.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

NORM_EPS = 1e-6
ROTATION_BASE = 100.0  # the official models' "RoPE100"


class Rotation(NamedTuple):
    """Cosine and sine of the angles by which the channels of one attention head are rotated."""

    cosine: Tensor  # (L, head channels)
    sine: Tensor  # (L, head channels)


def patch_positions(rows: int, columns: int, device: torch.device | None = None) -> Tensor:
    """Return (rows * columns, 2): row and column of every patch, row by row."""
    return torch.cartesian_prod(torch.arange(rows, device=device), torch.arange(columns, device=device))


def rotation_of(positions: Tensor, head_channels: int) -> Rotation:
    """Return the rotation of patches at ``positions``.

    The first half of a head's channels is turned by the row, the second half by the column. Within a half, channels i
    and i + quarter form the plane that is turned by position / base^(i / quarter).

    Args:
        positions: (L, 2), row and column.
        head_channels: a multiple of 4.
    """
    quarter = head_channels // 4
    frequencies = ROTATION_BASE ** (-torch.arange(quarter, device=positions.device) / quarter)  # (quarter,)
    angles = positions[:, :, None] * frequencies  # (L, 2, quarter)
    angles = angles.repeat(1, 1, 2).flatten(1)  # (L, head channels)
    return Rotation(angles.cos(), angles.sin())


def rotate(channels: Tensor, rotation: Rotation) -> Tensor:
    """Rotate queries or keys (B, heads, L, head channels)."""
    first, second = channels.unflatten(-1, (2, 2, -1)).unbind(-2)  # (B, heads, L, 2, quarter) each
    turned = torch.stack([-second, first], dim=-2).flatten(-3)  # (B, heads, L, head channels)
    return channels * rotation.cosine + turned * rotation.sine


class SelfAttention(nn.Module):
    """Multi-head attention of tokens to themselves."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, tokens: Tensor, rotation: Rotation) -> Tensor:
        """Map (B, L, dim) to the same shape."""
        query, key, value = self.qkv(tokens).chunk(3, dim=-1)  # (B, L, dim) each
        return self.proj(_attend(query, key, value, self.heads, rotation))


class CrossAttention(nn.Module):
    """Multi-head attention of tokens to the other view's, which lie on the same grid of patches."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.projq = nn.Linear(dim, dim)
        self.projk = nn.Linear(dim, dim)
        self.projv = nn.Linear(dim, dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, tokens: Tensor, memory: Tensor, rotation: Rotation) -> Tensor:
        """Map tokens (B, L, dim) and the other view's (B, L, dim) to (B, L, dim)."""
        query, key, value = self.projq(tokens), self.projk(memory), self.projv(memory)  # (B, L, dim) each
        return self.proj(_attend(query, key, value, self.heads, rotation))


class Mlp(nn.Module):
    """Two linear layers with an exact GELU between them."""

    def __init__(self, inputs: int, hidden: int, outputs: int):
        super().__init__()
        self.fc1 = nn.Linear(inputs, hidden)
        self.fc2 = nn.Linear(hidden, outputs)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (B, L, inputs) to (B, L, outputs)."""
        return self.fc2(nnf.gelu(self.fc1(tokens)))


class EncoderBlock(nn.Module):
    """Self-attention and feed-forward, each with norm and residual."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=NORM_EPS)
        self.attn = SelfAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=NORM_EPS)
        self.mlp = Mlp(dim, 4 * dim, dim)

    def forward(self, tokens: Tensor, rotation: Rotation) -> Tensor:
        """Map (B, L, dim) to the same shape."""
        tokens = tokens + self.attn(self.norm1(tokens), rotation)  # (B, L, dim)
        return tokens + self.mlp(self.norm2(tokens))  # (B, L, dim)


class DecoderBlock(nn.Module):
    """Self-attention, attention to the other view, and feed-forward, each with norm and residual."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=NORM_EPS)
        self.attn = SelfAttention(dim, heads)
        self.norm_y = nn.LayerNorm(dim, eps=NORM_EPS)
        self.norm2 = nn.LayerNorm(dim, eps=NORM_EPS)
        self.cross_attn = CrossAttention(dim, heads)
        self.norm3 = nn.LayerNorm(dim, eps=NORM_EPS)
        self.mlp = Mlp(dim, 4 * dim, dim)

    def forward(self, tokens: Tensor, memory: Tensor, rotation: Rotation) -> Tensor:
        """Map tokens (B, L, dim) and the other view's (B, L, dim) to (B, L, dim)."""
        tokens = tokens + self.attn(self.norm1(tokens), rotation)  # (B, L, dim)
        tokens = tokens + self.cross_attn(self.norm2(tokens), self.norm_y(memory), rotation)  # (B, L, dim)
        return tokens + self.mlp(self.norm3(tokens))  # (B, L, dim)


def _attend(query: Tensor, key: Tensor, value: Tensor, heads: int, rotation: Rotation) -> Tensor:
    query, key, value = (
        x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (query, key, value)
    )  # (B, heads, L, head channels)
    query, key = rotate(query, rotation), rotate(key, rotation)
    attended = nnf.scaled_dot_product_attention(query, key, value)  # (B, heads, L, head channels)
    return attended.transpose(1, 2).flatten(2)  # (B, L, dim)
