"""The noise of the stereo sampler, each draw by a name of its own."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from stereozero.diffusion.noise import seeded_noise
from stereozero.stereo.settings import SamplerSettings


class StereoNoise(Protocol):
    """Where the sampler takes its noise from; every draw is (C, F, h, w) standard normal."""

    def restart_step(self, step: int) -> Tensor:
        """Return the noise that a step of the restart adds; the same in every pass."""

    def carried(self, iteration: int, step: int) -> Tensor:
        """Return the noise mixed into what pass ``iteration`` carries to the next one."""

    def step(self, step: int, evaluation: int, is_last: bool) -> Tensor:
        """Return the noise that an evaluation after the restart adds."""

    def renewal(self, step: int, evaluation: int) -> Tensor:
        """Return the noise with which an x_0 prediction is brought back to the step's level."""


class SeededNoise:
    """Noise that depends on a clip's seed and the draw's place in the method alone.

    With shared noise, a step's last evaluation adds what the same step of the source's trajectory added.

    Args:
        shape: (C, F, h, w).
        seed: the clip's.
        settings: which draws are shared.
        device: where the noise is wanted.
    """

    def __init__(self, shape: Sequence[int], seed: int, settings: SamplerSettings, device: torch.device | str):
        self._shape, self._seed, self._settings, self._device = tuple(shape), seed, settings, device
        self._own = () if settings.shared_noise else ("target",)

    def restart_step(self, step: int) -> Tensor:
        """See :class:`StereoNoise`."""
        resampled = self._settings.restart_source == "resampled"
        return self._draw("restart step" if resampled else "step", step, *self._own)

    def carried(self, iteration: int, step: int) -> Tensor:
        """See :class:`StereoNoise`. One draw a pass is one for the first pass and one for all others, as released."""
        if self._settings.restart_noise == "pass":
            return self._draw("carried", "pass", min(iteration, 1))
        return self._draw("carried", step)

    def step(self, step: int, evaluation: int, is_last: bool) -> Tensor:
        """See :class:`StereoNoise`."""
        if is_last:
            return self._draw("step", step, *self._own)
        return self._draw("refinement", step, evaluation)

    def renewal(self, step: int, evaluation: int) -> Tensor:
        """See :class:`StereoNoise`."""
        return self._draw("renewal", step, evaluation)

    def _draw(self, *labels: str | int) -> Tensor:
        return seeded_noise(self._shape, self._seed, *labels, device=self._device)
