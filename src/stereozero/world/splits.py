"""Disjoint endless supplies of scenes for training and for evaluation."""

from collections.abc import Iterator

from stereozero.errors import InputError
from stereozero.world.sampling import sample_scene
from stereozero.world.scenes import Scene

SPLITS = {"held-out": range(0, 1_000_000), "train": range(1_000_000, 1_000_000_000)}
"""Seeds of each split. Held-out seeds are for evaluation and demos and must never be trained on."""


def scenes(kind: str, split: str, start: int = 0, step: int = 1) -> Iterator[Scene]:
    """Scenes of one kind in the order of their seeds, without end in practice.

    Args:
        kind: "simple" or "complex".
        split: a key of ``SPLITS``.
        start: how many seeds of the split to pass over; a training run that resumes goes on from there.
        step: distance of the seeds; worker w of n takes start=w, step=n.

    Yields:
        ``sample_scene(kind, seed)`` for seed = first + start, first + start + step, ...

    Raises:
        InputError: unknown split or kind.
    """
    if split not in SPLITS:
        raise InputError(f"scenes: split {split!r} is unknown: use one of {', '.join(SPLITS)}")
    for seed in SPLITS[split][start::step]:
        yield sample_scene(kind, seed)
