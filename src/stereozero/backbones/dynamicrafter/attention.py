"""Attention of the DynamiCrafter UNet, with processors that can be exchanged from outside.

A processor is any callable with the signature of :func:`attend`. It gets the finished query, key and value projections
and returns the attended values, so it may replace, record or mix any of them. The batch dimension is clip-major:
(B * F) for spatial, (B * h * w) for temporal transformers. If the first half of the clips are source views and the
second half target views, then so are the two halves of every projection.
"""

from typing import NamedTuple, Protocol, TypeVar

import torch
import torch.nn.functional as nnf
from diffusers.models.attention import FeedForward
from torch import Tensor, nn

from stereozero.backbones.dynamicrafter.step_inputs import StepInputs

Layer = TypeVar("Layer", bound=nn.Module)


class Projections(NamedTuple):
    """What an attention processor works on; N is the flattened batch, D = heads * head channels.

    ``image_key`` and ``image_value`` are None where there is no attention to image tokens.
    """

    query: Tensor  # (N, Lq, D)
    key: Tensor  # (N, Lk, D)
    value: Tensor  # (N, Lk, D)
    image_key: Tensor | None = None  # (N, Li, D)
    image_value: Tensor | None = None  # (N, Li, D)


class AttentionProcessor(Protocol):
    """Anything that can stand in for :func:`attend`."""

    def __call__(self, attention: "Attention", projections: Projections) -> Tensor:
        """Return the attended values (N, Lq, D), before the output projection."""


def attend(attention: "Attention", projections: Projections) -> Tensor:
    """Attend with torch's scaled_dot_product_attention; the processor that every module starts with.

    With image tokens the two results are added, the image part weighted by ``attention.image_weight()``.

    Returns:
        (N, Lq, D)
    """
    query, key, value, image_key, image_value = projections
    attended = _dot_product_attention(query, key, value, attention.heads)  # (N, Lq, D)
    if image_key is None:
        return attended
    from_image = _dot_product_attention(query, image_key, image_value, attention.heads)  # (N, Lq, D)
    return attended + from_image * attention.image_weight()


class Attention(nn.Module):
    """Multi-head attention of tokens to themselves, or to text tokens and (if built for it) image tokens.

    Args:
        query_dim: width of the tokens.
        context_dim: width of the text and image tokens; None for self-attention.
        heads, head_channels: number and width of the heads.
        image_context: add the second key and value projection for image tokens.
        learned_image_scale: weigh the image part by tanh(alpha) + 1 with a trained scalar (the 256 model) instead of 1.
    """

    def __init__(
        self,
        query_dim: int,
        heads: int,
        head_channels: int,
        *,
        context_dim: int | None = None,
        image_context: bool = False,
        learned_image_scale: bool = False,
    ):
        super().__init__()
        inner, source = heads * head_channels, context_dim or query_dim
        self.heads = heads
        self.attends_to_context = context_dim is not None
        self.processor: AttentionProcessor = attend
        self.to_q = nn.Linear(query_dim, inner, bias=False)
        self.to_k = nn.Linear(source, inner, bias=False)
        self.to_v = nn.Linear(source, inner, bias=False)
        self.to_k_ip = nn.Linear(source, inner, bias=False) if image_context else None
        self.to_v_ip = nn.Linear(source, inner, bias=False) if image_context else None
        self.alpha = nn.Parameter(torch.zeros(())) if image_context and learned_image_scale else None
        self.to_out = nn.Sequential(nn.Linear(inner, query_dim))

    def image_weight(self) -> Tensor | float:
        """Return the factor of the image part."""
        return 1.0 if self.alpha is None else torch.tanh(self.alpha) + 1

    def forward(self, tokens: Tensor, text: Tensor | None = None, image: Tensor | None = None) -> Tensor:
        """Attend.

        Args:
            tokens: (N, L, query_dim).
            text: (B, Lt, context_dim), N a multiple of B: projected once a clip, then repeated over its frames.
                None for self-attention.
            image: (B or N, Li, context_dim), only for modules with image context.

        Returns:
            (N, L, query_dim)
        """
        source = tokens if text is None else text
        batch = len(tokens)
        projections = Projections(
            self.to_q(tokens), _spread(self.to_k(source), batch), _spread(self.to_v(source), batch)
        )
        if self.to_k_ip is not None and image is not None:
            projections = projections._replace(
                image_key=_spread(self.to_k_ip(image), batch), image_value=_spread(self.to_v_ip(image), batch)
            )
        return self.to_out(self.processor(self, projections))  # (N, L, query_dim)


class TransformerBlock(nn.Module):
    """Self-attention, attention to the context (or again to itself), feed-forward; each with norm and residual."""

    def __init__(self, dim: int, heads: int, head_channels: int, **context):
        super().__init__()
        self.attn1 = Attention(dim, heads, head_channels)
        self.attn2 = Attention(dim, heads, head_channels, **context)
        self.ff = FeedForward(dim, activation_fn="geglu")
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.norm3 = nn.LayerNorm(dim)

    def forward(self, tokens: Tensor, text: Tensor | None = None, image: Tensor | None = None) -> Tensor:
        """Map (N, L, dim) to (N, L, dim); ``text`` and ``image`` as in :class:`Attention`."""
        tokens = tokens + self.attn1(self.norm1(tokens))  # (N, L, dim)
        tokens = tokens + self.attn2(self.norm2(tokens), text, image)  # (N, L, dim)
        return tokens + self.ff(self.norm3(tokens))  # (N, L, dim)


class SpatialTransformer(nn.Module):
    """Transformer over the positions of each frame, with attention to text and image tokens."""

    def __init__(
        self,
        channels: int,
        head_channels: int,
        depth: int,
        context_dim: int,
        norm_groups: int,
        *,
        learned_image_scale: bool,
    ):
        super().__init__()
        heads = channels // head_channels
        inner = heads * head_channels
        self.norm = nn.GroupNorm(norm_groups, channels, eps=1e-6)
        self.proj_in = nn.Linear(channels, inner)
        self.transformer_blocks = nn.ModuleList(
            TransformerBlock(
                inner,
                heads,
                head_channels,
                context_dim=context_dim,
                image_context=True,
                learned_image_scale=learned_image_scale,
            )
            for _ in range(depth)
        )
        self.proj_out = zero_initialised(nn.Linear(inner, channels))

    def forward(self, features: Tensor, step: StepInputs) -> Tensor:
        """Map (B * F, C, h, w) to the same shape."""
        height = features.shape[-2]
        tokens = self.norm(features).flatten(2).transpose(1, 2)  # (B * F, h * w, C)
        tokens = self.proj_in(tokens)  # (B * F, h * w, inner)
        for block in self.transformer_blocks:
            tokens = block(tokens, step.text, step.image)  # (B * F, h * w, inner)
        tokens = self.proj_out(tokens)  # (B * F, h * w, C)
        return features + tokens.transpose(1, 2).unflatten(2, (height, -1))  # (B * F, C, h, w)


class TemporalTransformer(nn.Module):
    """Transformer over the frames at each position; both of its attentions are self-attention.

    Args:
        channels, head_channels, depth, norm_groups: sizes.
        heads: channels // head_channels if None. The initial attention has a number of its own.
        pointwise: keep the projections as width-1 convolutions. The initial attention of the official checkpoints does,
            all other transformers use linear layers; the arithmetic is the same, the stored shapes are not.
    """

    def __init__(
        self,
        channels: int,
        head_channels: int,
        depth: int,
        norm_groups: int,
        *,
        heads: int | None = None,
        pointwise: bool = False,
    ):
        super().__init__()
        heads = heads or channels // head_channels
        inner = heads * head_channels
        self.norm = nn.GroupNorm(norm_groups, channels, eps=1e-6)
        self.proj_in = PointwiseLinear(channels, inner) if pointwise else nn.Linear(channels, inner)
        self.transformer_blocks = nn.ModuleList(TransformerBlock(inner, heads, head_channels) for _ in range(depth))
        self.proj_out = zero_initialised(PointwiseLinear(inner, channels) if pointwise else nn.Linear(inner, channels))

    def forward(self, features: Tensor, step: StepInputs) -> Tensor:
        """Map (B * F, C, h, w) to the same shape."""
        height, width = features.shape[-2:]
        video = step.as_video(features)  # (B, C, F, h, w)
        tokens = self.norm(video).permute(0, 3, 4, 2, 1).flatten(0, 2)  # (B * h * w, F, C)
        tokens = self.proj_in(tokens)  # (B * h * w, F, inner)
        for block in self.transformer_blocks:
            tokens = block(tokens)  # (B * h * w, F, inner)
        tokens = self.proj_out(tokens).unflatten(0, (-1, height, width))  # (B, h, w, F, C)
        return features + tokens.permute(0, 3, 4, 1, 2).flatten(0, 1)  # (B * F, C, h, w)


class PointwiseLinear(nn.Conv1d):
    """A linear layer whose weight is stored as a convolution of width 1: (out, in, 1)."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__(inputs, outputs, kernel_size=1)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (N, L, inputs) to (N, L, outputs)."""
        return nnf.linear(tokens, self.weight[:, :, 0], self.bias)


def zero_initialised(module: Layer) -> Layer:
    """Set a layer's parameters to zero, so that the block it ends begins as the identity; returns the layer."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module


def _spread(tokens: Tensor, batch: int) -> Tensor:
    # (B, L, D) -> (batch, L, D): every clip's tokens once for each of its frames.
    return tokens if len(tokens) == batch else tokens.repeat_interleave(batch // len(tokens), dim=0)


def _dot_product_attention(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    query, key, value = (
        x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (query, key, value)
    )  # (N, heads, L, head channels)
    attended = nnf.scaled_dot_product_attention(query, key, value)  # (N, heads, Lq, head channels)
    return attended.transpose(1, 2).flatten(2)  # (N, Lq, D)
