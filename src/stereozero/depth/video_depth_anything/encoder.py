"""DINOv2's vision transformer (arXiv 2304.07193) as a depth model uses it: feature maps from four of its blocks.

Parameter names are the official ones (facebookresearch/dinov2, Apache-2.0).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

PATCH = 14  # px
_GRID = 37  # patches a side at the training size of 518 px
_NUDGE = 0.1  # patches added before the position grid is scaled: how DINOv2 keeps rounding from losing a row


class Encoder(nn.Module):
    """ViT with patches of 14 pixels, LayerScale and no register tokens.

    Args:
        width: channels of the tokens.
        blocks: number of them.
        heads: of the attention.
        taps: indices of the blocks whose tokens are returned.
    """

    def __init__(self, width: int, blocks: int, heads: int, taps: Sequence[int]):
        super().__init__()
        self.taps = tuple(taps)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + _GRID**2, width))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, PATCH, stride=PATCH)})
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(blocks))
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the normalised patch tokens after each tapped block as maps.

        Args:
            images: (N, 3, H, W), normalised with ImageNet's mean and standard deviation; sides multiples of 14.

        Returns:
            One (N, width, H / 14, W / 14) for each tap.
        """
        patches = self.patch_embed["proj"](images)  # (N, width, h, w)
        height, width = patches.shape[-2:]
        tokens = patches.flatten(2).transpose(1, 2)  # (N, h * w, width)
        tokens = torch.cat([self.cls_token.expand(len(tokens), -1, -1), tokens], dim=1)  # (N, 1 + h * w, width)
        tokens = tokens + self._positions(height, width)
        maps = []
        for index, block in enumerate(self.blocks):
            tokens = block(tokens)  # (N, 1 + h * w, width)
            if index in self.taps:
                maps.append(self.norm(tokens)[:, 1:].transpose(1, 2).unflatten(2, (height, width)))
        return maps

    def _positions(self, height: int, width: int) -> Tensor:
        """Return the position embedding for a grid of patches: (1, 1 + height * width, channels)."""
        if height == width == _GRID:
            return self.pos_embed
        of_class, of_patches = self.pos_embed.float().split([1, _GRID**2], dim=1)
        grid = of_patches.transpose(1, 2).unflatten(2, (_GRID, _GRID))  # (1, channels, 37, 37)
        scale = (height + _NUDGE) / _GRID, (width + _NUDGE) / _GRID
        grid = nnf.interpolate(grid, scale_factor=scale, mode="bicubic")  # (1, channels, height, width)
        return torch.cat([of_class, grid.flatten(2).transpose(1, 2)], dim=1).to(self.pos_embed.dtype)


class Block(nn.Module):
    """Attention and a two-layer perceptron, each with norm before, learned scale after, and residual."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads)
        self.ls1 = LayerScale(width)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Perceptron(width)
        self.ls2 = LayerScale(width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (N, L, width) to the same shape."""
        tokens = tokens + self.ls1(self.attn(self.norm1(tokens)))  # (N, L, width)
        return tokens + self.ls2(self.mlp(self.norm2(tokens)))  # (N, L, width)


class Attention(nn.Module):
    """Multi-head self-attention with one projection for query, key and value."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (N, L, width) to the same shape."""
        query, key, value = self.qkv(tokens).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attended = nnf.scaled_dot_product_attention(query, key, value)  # (N, heads, L, width / heads)
        return self.proj(attended.transpose(1, 2).flatten(2))  # (N, L, width)


class Perceptron(nn.Module):
    """Two linear layers, four times as wide between them."""

    def __init__(self, width: int):
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (N, L, width) to the same shape."""
        return self.fc2(nnf.gelu(self.fc1(tokens)))


class LayerScale(nn.Module):
    """A learned factor for each channel."""

    def __init__(self, width: int):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (N, L, width) to the same shape."""
        return tokens * self.gamma
