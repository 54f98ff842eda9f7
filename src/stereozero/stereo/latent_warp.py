"""Warping the source's latents into the target view, at any noise level.

A warp is called with the source's latents before a sampling step and returns the target's, with the cells that nothing
lands on. Three kinds: by whole cells (released code), by fractions of a cell, and by the finished source's pixels.

**Noise statistics.** Whole cells keep noise as it is. Interpolation between two cells with weights 1 - w and w lowers
the variance of independent noise to (1 - w)^2 + w^2, and a network takes that for a cleaner image than it is. So the
latents are split into signal, sqrt(abar) x_0 with the trajectory's own end as x_0, and the rest, which is noise. The
signal is interpolated; the noise is taken from the nearest cell, so it keeps its variance and stays uncorrelated but
where a surface is stretched. (Interpolating it and dividing by the root of the above gives the same scores.)
"""

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from stereozero.diffusion.schedule import DdimSchedule
from stereozero.stereo.warp import BLANK, Warped, forward_warp, gather_columns, sample_positions, source_positions


class LatentWarp(Protocol):
    """Brings latents of the source view to the target view."""

    def __call__(self, source: Tensor, step: int) -> Warped:
        """Return target latents (C, F, h, w), 0 where blank, and blanks (F, h, w).

        Args:
            source: (C, F, h, w) latents before a step.
            step: the sampling step, 0 is the noisiest.
        """


class WholeCellWarp:
    """Shifts latents by whole cells (method of the released code; keeps few disparity levels at small sizes).

    Args:
        disparity: (F, h, w) in [0, 1] at the latents' size; see :func:`latent_disparity`.
        strength: percent of width.
    """

    def __init__(self, disparity: Tensor, strength: float):
        self._disparity, self._strength = disparity, strength

    def __call__(self, source: Tensor, step: int) -> Warped:
        """See :class:`LatentWarp`."""
        return _by_frames(forward_warp(source.transpose(0, 1), self._disparity, self._strength, "whole"))


class SubcellWarp:
    """Shifts latents by fractions of a cell; signal and noise apart (module docstring).

    Args:
        disparity: (F, h, w) in [0, 1] at the latents' size.
        strength: percent of width.
        clean: (C, F, h, w) the source's x_0.
        schedule: gives each step's signal share.
    """

    def __init__(self, disparity: Tensor, strength: float, clean: Tensor, schedule: DdimSchedule):
        self._positions = source_positions(disparity, strength)  # (F, h, w)
        self._clean, self._schedule = clean, schedule

    def __call__(self, source: Tensor, step: int) -> Warped:
        """See :class:`LatentWarp`."""
        signal = signal_at(self._clean, self._schedule, step)  # (C, F, h, w)
        image = warp_signal(signal, self._positions) + warp_noise(source - signal, self._positions)
        return Warped(image, self._positions < 0)


class PixelWarp:
    """Takes the signal from the finished source, warped as pixels and encoded; the noise as in sub-cell warping.

    Args:
        target: (C, F, h, w) the encoded warped source; its holes had been filled somehow before encoding.
        blank: (F, h, w) cells with a pixel that is to be generated.
        disparity, strength, clean, schedule: as for :class:`SubcellWarp`; for the noise.
        prior: steps before this one get the filled holes too, and nothing is blank.
    """

    def __init__(
        self,
        target: Tensor,
        blank: Tensor,
        disparity: Tensor,
        strength: float,
        clean: Tensor,
        schedule: DdimSchedule,
        prior: int = 0,
    ):
        self._target, self._blank = target, blank
        self._positions = source_positions(disparity, strength)  # (F, h, w)
        self._clean, self._schedule, self._prior = clean, schedule, prior

    def __call__(self, source: Tensor, step: int) -> Warped:
        """See :class:`LatentWarp`."""
        noise = source - signal_at(self._clean, self._schedule, step)  # (C, F, h, w)
        uncovered = self._positions < 0  # (F, h, w)
        warped_noise = torch.where(uncovered, noise, warp_noise(noise, self._positions))  # (C, F, h, w)
        image = signal_at(self._target, self._schedule, step) + warped_noise  # (C, F, h, w)
        if step < self._prior:
            return Warped(image, torch.zeros_like(self._blank))
        return Warped(torch.where(self._blank, 0, image), self._blank)


class ProgressiveWarp:
    """Warps by one disparity after another: by a coarse one while there is much noise, by finer ones later.

    Args:
        warps: first sampling step -> the warp that is taken from it on; one must begin at 0.
    """

    def __init__(self, warps: Mapping[int, LatentWarp]):
        self._warps = warps

    def __call__(self, source: Tensor, step: int) -> Warped:
        """See :class:`LatentWarp`."""
        begun = max(first for first in self._warps if first <= step)
        return self._warps[begun](source, step)


def latent_disparity(disparity: Tensor, height: int, width: int, power: float = 1.0) -> Tensor:
    """Bring a disparity (F, H, W) to the latents' size and raise it to a power: (F, h, w).

    Bilinear, half-pixel centres, no anti-aliasing (reference behaviour).
    """
    small = functional.interpolate(
        disparity.unsqueeze(1), (height, width), mode="bilinear", align_corners=False
    )  # (F, 1, h, w)
    return small.squeeze(1) if power == 1 else small.squeeze(1) ** power


def blank_cells(blank: Tensor, factor: int) -> Tensor:
    """Return the cells (F, h, w) of which any pixel of (F, H, W) is blank."""
    return functional.max_pool2d(blank.float(), factor).bool()


def signal_at(clean: Tensor, schedule: DdimSchedule, step: int) -> Tensor:
    """Return what of an x_0 is in the latents before a step: sqrt(abar) times the dynamic scale times x_0."""
    return clean * float(schedule.alpha_bar[step]) ** 0.5 * float(schedule.scale[step])


def warp_signal(signal: Tensor, positions: Tensor) -> Tensor:
    """Interpolate (C, F, h, w) at source positions (F, h, w); 0 where blank."""
    return sample_positions(signal.transpose(0, 1), positions).transpose(0, 1)


def warp_noise(noise: Tensor, positions: Tensor) -> Tensor:
    """Take noise (C, F, h, w) from the cells nearest to source positions (F, h, w); 0 where blank."""
    nearest = torch.where(positions < 0, BLANK, positions.round()).to(torch.int64)  # (F, h, w)
    return gather_columns(noise.transpose(0, 1), nearest).transpose(0, 1)


def _by_frames(warped: Warped) -> Warped:
    return Warped(warped.image.transpose(0, 1), warped.blank)
