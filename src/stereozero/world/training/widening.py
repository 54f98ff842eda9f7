"""Widening of a trained video UNet: the wider network starts as what the narrower one has learned.

Net2WiderNet (Chen et al., arXiv 1511.05641): each channel becomes two that hold the same value, and a layer that reads
it gets its weight in two random parts that sum to the old one. The parts differ, so the copies learn different things.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from stereozero.backbones.dynamicrafter import VideoUNet
from stereozero.errors import InputError

_SPREAD = 0.25  # standard deviation of a part's share of the weight, about one half
_QUERIES_KEYS_VALUES = ("to_q", "to_k", "to_v", "to_k_ip", "to_v_ip")


def widen(narrow: VideoUNet, wide: VideoUNet, seed: int = 0) -> None:
    """Give a wide UNet the weights of a narrow one whose first level is half as wide; other levels may be as wide.

    If every level doubles, the wide one computes the same function. Between a level that doubles and one that doesn't
    it computes about the same: norms that see both side by side have other groups, and a convolution that was the skip
    connection from the narrower to the wider level is left out, because none is needed now.

    Args:
        narrow: trained.
        wide: of the same depth and head width, ``model_channels`` twice that of the narrow one, every level's width
            the same or doubled; its weights are overwritten.
        seed: of the random parts.

    Raises:
        InputError: a weight of the wide network that is not a doubling of the narrow one's.
    """
    generator = torch.Generator().manual_seed(seed)
    old = narrow.state_dict()
    base = narrow.config.model_channels
    wide.load_state_dict(
        {name: _widened(name, old[name], new.shape, base, generator) for name, new in wide.state_dict().items()}
    )


def _widened(name: str, old: Tensor, shape: torch.Size, base: int, generator: torch.Generator) -> Tensor:
    if name == "time_embed.0.weight" or name == "fps_embedding.0.weight":
        return _outputs(name, _at_old_frequencies(old), shape)
    outputs = _outputs(name, old, shape)
    if old.ndim < 2 or old.shape[1] == shape[1]:
        return outputs
    widened = _spread(outputs.transpose(0, 1), shape[1], _reads_heads(name)).transpose(0, 1).contiguous()
    is_copy = _spread(torch.arange(old.shape[1])[:, None], shape[1], _reads_heads(name))[:, 0]  # (inputs,)
    return _in_parts(widened, is_copy, generator)


def _outputs(name: str, old: Tensor, shape: torch.Size) -> Tensor:
    return old if old.shape[0] == shape[0] else _spread(old, shape[0], name.split(".")[-2] in _QUERIES_KEYS_VALUES)


def _spread(rows: Tensor, count: int, by_heads: bool) -> Tensor:
    # (n, ...) -> (count, ...): the last count - n rows twice, beside each other, or after all of them for heads.
    doubled = count - len(rows)
    if not 0 < doubled <= len(rows):
        raise InputError(f"{len(rows)} channels can't be widened to {count}: at most twice as many are possible")
    same, copied = rows[: len(rows) - doubled], rows[len(rows) - doubled :]
    return torch.cat([rows, rows]) if by_heads else torch.cat([same, copied.repeat_interleave(2, dim=0)])


def _in_parts(weight: Tensor, source: Tensor, generator: torch.Generator) -> Tensor:
    # source: (inputs,) the old input that each new one is a copy of.
    for first, second in _pairs(source):
        share = 0.5 + _SPREAD * torch.randn(weight[:, first].shape, generator=generator)
        weight[:, first], weight[:, second] = weight[:, first] * share, weight[:, second] * (1 - share)
    return weight


def _pairs(source: Tensor) -> Iterator[tuple[int, int]]:
    for value in source.unique().tolist():
        places = (source == value).nonzero()[:, 0].tolist()
        if len(places) == 2:
            yield places[0], places[1]


def _reads_heads(name: str) -> bool:
    return ".to_out." in name


def _at_old_frequencies(weight: Tensor) -> Tensor:
    # The sinusoid of twice the width has the old frequencies at its even places.
    return torch.stack([weight, torch.zeros_like(weight)], dim=2).flatten(1)
