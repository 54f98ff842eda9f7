"""In which order a training shows clips, so that the network gets to mend what it guessed itself.

Sampling evaluates the network again and again, each time at less noise and with its own last guess, noise added, in
place of true latents. So a clip stays for some steps of the training: it is shown at less noise from one to the next,
as the step before guessed it. That takes no further evaluations. Guesses are shown at no less noise than sampling asks
for; what is less noisy than that are true clips.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

_STREAM = 1  # numpy draws from [seed, n, 0] what it draws from [seed, n]: step_rng's
LENGTH = 3  # evaluations of a clip


class Stages(NamedTuple):
    """How far the B clips of one training step are.

    Attributes:
        rngs: B, each clip's own, the same in all of its evaluations.
        evaluations: (B,) of LENGTH; what was evaluated before is the step before's.
    """

    rngs: Sequence[Generator]
    evaluations: np.ndarray

    @property
    def begin(self) -> np.ndarray:
        """(B,) bool, which clips are evaluated for the first time."""
        return self.evaluations == 0


def stages_of(seed: int, step: int, count: int) -> Stages:
    """Return how far the clips of a training step are; one of LENGTH begins at each step."""
    slots = np.arange(count)
    chains, evaluations = np.divmod(step + slots, LENGTH)  # (B,) each
    rngs = [np.random.default_rng([seed, chain, slot, _STREAM]) for slot, chain in enumerate(chains)]
    return Stages(rngs, evaluations)


def falling_times(positions: np.ndarray, evaluations: np.ndarray, train_steps: int, noisier: float) -> np.ndarray:
    """Return the timesteps (B,) of some evaluations, falling from one to the next and covering the range evenly.

    Args:
        positions: (B,) in [0, 1), random, the same in all evaluations of a clip.
        evaluations: (B,) of LENGTH.
        train_steps: timesteps there are.
        noisier: raises the density towards high noise, from 1 / noisier to noisier times an even one (the timestep
            shift of Esser et al., arXiv 2403.03206, section 5.3.2).
    """
    even = (LENGTH - 1 - evaluations + positions) / LENGTH  # (B,)
    return (noisier * even / (1 + (noisier - 1) * even) * train_steps).astype(np.int64)


def guessed_times(positions: np.ndarray, evaluations: np.ndarray, train_steps: int, least: int) -> np.ndarray:
    """Return the timesteps (B,) of clips that are shown as guessed: noise alone, then falling evenly down to ``least``.

    The other arguments are as in :func:`falling_times`.
    """
    even = (LENGTH - 1 - evaluations + positions) / (LENGTH - 1)  # (B,), 1 or more in the first evaluation
    return np.minimum(least + even * (train_steps - least), train_steps - 1).astype(np.int64)
