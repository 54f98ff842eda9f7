"""Gaussian noise that depends on integer seeds and on nothing else.

A draw is named by a seed and labels (``seeded_noise(shape, 123, "step", 7)``). Each name has a generator of its own on
the CPU, so a clip's noise is the same whatever device it is used on, whichever clips share its batch, and whatever was
drawn before it.
"""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

_SEED_BITS = 63  # torch.Generator takes a signed 64-bit seed


def seeded_noise(
    shape: Sequence[int],
    seed: int,
    *labels: str | int,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Return standard normal noise of ``shape`` that ``seed`` and ``labels`` stand for.

    Drawn in float32 on the CPU, then moved to ``device`` and cast to ``dtype``. Different labels give independent
    draws: ``"initial"`` for x_T, ``("step", i)`` for the i-th step.
    """
    generator = torch.Generator(device="cpu").manual_seed(_stream_seed(seed, labels))
    return torch.randn(tuple(shape), generator=generator, dtype=torch.float32).to(device=device, dtype=dtype)


def batched_noise(
    shape: Sequence[int], seeds: Sequence[int], *labels: str | int, device: torch.device | str = "cpu"
) -> Tensor:
    """Return (B, *shape) float32 noise, clip b's from ``seeds[b]`` alone; see :func:`seeded_noise`."""
    return torch.stack([seeded_noise(shape, seed, *labels, device=device) for seed in seeds])  # (B, *shape)


def _stream_seed(seed: int, labels: Sequence[str | int]) -> int:
    # Hashed, not added: seed 1 step 2 must not be seed 2 step 1. repr keeps "1" and 1 apart.
    name = repr((int(seed), *labels)).encode()
    return int.from_bytes(hashlib.sha256(name).digest()[:8], "big") >> (64 - _SEED_BITS)
