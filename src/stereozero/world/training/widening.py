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
_FREQUENCY_READERS = ("time_embed.0.weight", "fps_embedding.0.weight")
_QUERIES_KEYS_VALUES = ("to_q", "to_k", "to_v", "to_k_ip", "to_v_ip")


def widen(narrow: VideoUNet, wide: VideoUNet, seed: int = 0) -> None:
    """Give a wide UNet the weights of a narrow one, each of whose levels is half as wide or as wide.

    Where all are as wide, this copies. If every level doubles, the wide one computes the same function. Between a level
    that doubles and one that doesn't it computes about the same: norms that see both side by side have other groups,
    and a convolution that was the skip connection from the narrower to the wider level is left out, because none is
    needed now.

    Args:
        narrow: trained.
        wide: of the same depth and head width; its weights are overwritten.
        seed: of the random parts.

    Raises:
        InputError: a weight of the wide network that is not a doubling of the narrow one's.
    """
    generator = torch.Generator().manual_seed(seed)
    old = narrow.state_dict()
    wide.load_state_dict(
        {name: _widened(name, old[name], new.shape, generator) for name, new in wide.state_dict().items()}
    )


def _widened(name: str, old: Tensor, shape: torch.Size, generator: torch.Generator) -> Tensor:
    if old.shape == shape:
        return old
    if name in _FREQUENCY_READERS:
        old = _at_old_frequencies(old)
    by_heads = name.split(".")[-2] in _QUERIES_KEYS_VALUES
    weight = old[_sources(old.shape[0], shape[0], by_heads=by_heads)]
    if weight.shape == shape:
        return weight
    sources = _sources(old.shape[1], shape[1], by_heads=".to_out." in name)
    return _in_parts(weight[:, sources], sources, generator)


def _sources(count: int, wanted: int, *, by_heads: bool) -> Tensor:
    # (wanted,): the old channel that each new one copies. The last wanted - count come twice, the copy beside the
    # original (so groups of norms stay together) or, by heads, all copies after all originals.
    doubled = wanted - count
    if not 0 <= doubled <= count:
        raise InputError(f"{count} channels can't be widened to {wanted}: at most twice as many are possible")
    channels = torch.arange(count)
    if by_heads:
        return torch.cat([channels, channels[count - doubled :]])
    return torch.cat([channels[: count - doubled], channels[count - doubled :].repeat_interleave(2)])


def _in_parts(weight: Tensor, sources: Tensor, generator: torch.Generator) -> Tensor:
    # Weights (outputs, inputs, ...) of inputs of which some are copies: each pair of copies shares the weight.
    for first, second in _pairs(sources):
        share = 0.5 + _SPREAD * torch.randn(weight[:, first].shape, generator=generator)
        weight[:, first], weight[:, second] = weight[:, first] * share, weight[:, second] * (1 - share)
    return weight


def _pairs(sources: Tensor) -> Iterator[list[int]]:
    for source in sources.unique():
        places = (sources == source).nonzero()[:, 0].tolist()
        if len(places) == 2:
            yield places


def _at_old_frequencies(weight: Tensor) -> Tensor:
    # The sinusoid of twice the width has the old frequencies at its even places.
    return torch.stack([weight, torch.zeros_like(weight)], dim=2).flatten(1)
