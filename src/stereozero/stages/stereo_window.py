"""Sampling the target view of one window of a clip: what the stage ``stereo`` does between reading and writing.

Apart from the stage's module because it imports torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from stereozero.backbones.dynamicrafter import DynamiCrafter
from stereozero.baselines.warp_fill import Filled, warp_fill
from stereozero.diffusion.backbone import ClipRequest
from stereozero.diffusion.sampling import reporting
from stereozero.diffusion.schedule import DdimSchedule, ddim_schedule
from stereozero.stages.model import as_tensor
from stereozero.stereo.composite import composite
from stereozero.stereo.latent_warp import (
    LatentWarp,
    PixelWarp,
    ProgressiveWarp,
    SubcellWarp,
    WholeCellWarp,
    blank_cells,
    latent_disparity,
)
from stereozero.stereo.noise import SeededNoise
from stereozero.stereo.sampler import StereoSampler
from stereozero.stereo.settings import SamplerSettings, scaled_step
from stereozero.stereo.two_views import TwoViewDenoiser
from stereozero.video import to_uint8


@dataclass(frozen=True, eq=False)
class Window:
    """A part of a clip as long as the model's clips; F frames.

    Attributes:
        request: what it shows.
        frames: (F, H, W, 3) uint8 of the source.
        disparities: first sampling step, of 50 -> (F, H, W) float32 in [0, 1], by which the latents are warped from it
            on; the first is 0, and the last is the one that frames are warped by.
        trajectory: (S + 1, C, F, h, w).
        is_generated: True if the generator made it. Its last step leaves x_0 in the dynamic scale of that step, and
            the source was decoded as it is (reference behaviour); a given video's target must be scaled back.
    """

    request: ClipRequest
    frames: np.ndarray
    disparities: Mapping[int, np.ndarray]
    trajectory: Tensor
    is_generated: bool = False

    @property
    def disparity(self) -> np.ndarray:
        """The finest disparity (F, H, W)."""
        return self.disparities[max(self.disparities)]


class Target(NamedTuple):
    """A window's target view.

    Attributes:
        frames: (F, H, W, 3) uint8.
        blank: (F, H, W) bool, True where no source pixel lands.
        latents: (C, F, h, w) after the last step.
    """

    frames: np.ndarray
    blank: np.ndarray
    latents: Tensor


class WindowSampler:
    """Samples target views with one set of settings.

    Args:
        backbone: the model.
        values: the artefact's parameters: "steps", "spacing", "eta", "guidance", "seed", and
            "image_guidance" if it is given.
        settings: of the sampler.
        one_batch: all branches of guidance in one call.
    """

    def __init__(
        self, backbone: DynamiCrafter, values: Mapping[str, Any], settings: SamplerSettings, *, one_batch: bool
    ):
        self._backbone, self._values, self._settings, self._one_batch = backbone, values, settings, one_batch
        self._schedule: DdimSchedule = ddim_schedule(
            backbone.schedule, values["steps"], spacing=values["spacing"], eta=values["eta"]
        )

    def sample(self, window: Window, strength: float) -> Target:
        """Sample one window; ``strength`` in percent of width, > 0 for a right target."""
        warped = self._warped(window.frames, window.disparity, strength)
        latents = self._encoded(warped) if self._settings.is_control else self._sampled(window, warped, strength)
        generated = self._backbone.decode_latents(latents[None])[0].cpu()  # (F, 3, H, W)
        return Target(self._finished(generated, warped), warped.blank, latents.cpu().contiguous())

    def _warped(self, frames: np.ndarray, disparity: np.ndarray, strength: float) -> Filled:
        fill, device = self._settings.hole_fill, str(self._backbone.device)
        return warp_fill(frames, disparity**self._settings.disparity_power, strength, fill, device=device)

    def _sampled(self, window: Window, warped: Filled, strength: float) -> Tensor:
        """Return the target's x_0 (C, F, h, w)."""
        sampler = self._sampler(window, warped, strength)
        *_, latents = reporting(sampler.sample(), len(sampler))
        return latents if window.is_generated else latents / float(self._schedule.scale[-1])

    def _encoded(self, warped: Filled) -> Tensor:
        """Return the latents of the warped and filled source (C, F, h, w)."""
        return self._backbone.encode_video(as_tensor(warped.target)[None], [self._values["seed"]])[0]

    def _sampler(self, window: Window, warped: Filled, strength: float) -> StereoSampler:
        settings, device = self._settings, self._backbone.device
        source_pair = target_pair = self._backbone.encode_conditioning([window.request])
        if settings.condition == "warped":
            target_pair = self._backbone.encode_conditioning([_warped_request(window.request, warped)])
        denoiser = TwoViewDenoiser(
            self._backbone,
            source_pair,
            target_pair,
            self._schedule,
            settings,
            guidance=self._values["guidance"],
            image_guidance=self._values.get("image_guidance"),
            one_batch=self._one_batch,
        )
        trajectory = window.trajectory.to(device)  # (S + 1, C, F, h, w)
        warp = self._warp(window, warped, trajectory[-1], strength)
        noise = SeededNoise(trajectory.shape[1:], self._values["seed"], settings, device)
        return StereoSampler(denoiser, self._schedule, trajectory, warp, noise, strength, settings)

    def _warp(self, window: Window, warped: Filled, clean: Tensor, strength: float) -> LatentWarp:
        warps = {}
        for first, disparity in window.disparities.items():
            is_finest = disparity is window.disparity
            level = warped if is_finest else self._warped(window.frames, disparity, strength)
            warps[scaled_step(first, len(self._schedule))] = self._level_warp(disparity, level, clean, strength)
        return ProgressiveWarp(warps)

    def _level_warp(self, disparity: np.ndarray, warped: Filled, clean: Tensor, strength: float) -> LatentWarp:
        settings, schedule = self._settings, self._schedule
        given = torch.from_numpy(disparity.copy()).to(clean.device)  # (F, H, W)
        cells = latent_disparity(given, *clean.shape[-2:], settings.disparity_power)  # (F, h, w)
        if settings.warp == "whole":
            return WholeCellWarp(cells, strength)
        if settings.warp == "subcell":
            return SubcellWarp(cells, strength, clean, schedule)
        blank = blank_cells(torch.from_numpy(warped.unseen).to(clean.device), self._backbone.vae_factor)  # (F, h, w)
        prior = scaled_step(settings.hole_prior, len(schedule))
        return PixelWarp(self._encoded(warped), blank, cells, strength, clean, schedule, prior)

    def _finished(self, generated: Tensor, warped: Filled) -> np.ndarray:
        # (F, 3, H, W) -> (F, H, W, 3) uint8
        if self._settings.composite:
            unseen = torch.from_numpy(warped.unseen)  # (F, H, W)
            generated = composite(generated, as_tensor(warped.target), unseen, self._settings.seam)
        return to_uint8(generated.permute(0, 2, 3, 1).numpy())


def _warped_request(request: ClipRequest, warped: Filled) -> ClipRequest:
    """Return a request whose pictures are the target view's: the warped clip's first frame, and last if it has one."""
    first, last = as_tensor(warped.target[[0, -1]])  # (3, H, W) each
    if request.end_image is None:
        return replace(request, image=first)
    is_loop = request.end_image is request.image
    return replace(request, image=first, end_image=first if is_loop else last)


def join_windows(parts: Sequence[np.ndarray], windows: Sequence[Sequence[int]]) -> np.ndarray:
    """Put the windows' frames in their places; a frame of two windows is the earlier one's."""
    frames: dict[int, np.ndarray] = {}
    for part, numbers in zip(parts, windows, strict=True):
        for frame, number in zip(part, numbers, strict=True):
            frames.setdefault(number, frame)
    return np.stack([frames[number] for number in sorted(frames)])
