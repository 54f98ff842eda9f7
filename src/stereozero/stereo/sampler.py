"""The stereo sampler: from the source view's trajectory and a warp to the target view's latents (paper, section 3).

The first steps are passed over several times (noisy restart), each pass filling what the warp leaves blank from the one
before. Then sampling goes through to the end; at some steps the warped source is put in again, and the step evaluated
several times (iterative refinement). All along, the target attends with the source's queries (cross-view attention).
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from stereozero.diffusion.sampling import check_finite
from stereozero.diffusion.schedule import DdimSchedule, DdimStep, ddim_step
from stereozero.stereo.border import border_columns, clean_border
from stereozero.stereo.latent_warp import LatentWarp
from stereozero.stereo.noise import StereoNoise
from stereozero.stereo.refinement import refined_by_clean, refined_by_output, refined_by_previous_clean
from stereozero.stereo.restart import carried_latents
from stereozero.stereo.settings import SamplerSettings, plan_steps
from stereozero.stereo.two_views import TwoViewDenoiser


class RestartPass(NamedTuple):
    """One pass over the first K steps; latents are (C, F, h, w).

    Attributes:
        inputs: the target before each step, warped and filled.
        last: the last step's result.
        carried: what fills the next pass's blanks, one entry a step; empty after the last pass.
        blank: (F, h, w) of the last step.
    """

    inputs: list[Tensor]
    last: DdimStep
    carried: list[Tensor]
    blank: Tensor


class StereoSampler:
    """Samples the target view of one clip.

    Args:
        denoiser: evaluates the network.
        schedule: S sampling steps, those of the trajectory.
        trajectory: (S + 1, C, F, h, w) the source's latents before the first and after every step.
        warp: from the source's latents to the target's.
        noise: every draw.
        strength: percent of width; only its sign is used, to know which border the target loses.
        settings: the method.

    Raises:
        InputError: too few steps.
    """

    def __init__(
        self,
        denoiser: TwoViewDenoiser,
        schedule: DdimSchedule,
        trajectory: Tensor,
        warp: LatentWarp,
        noise: StereoNoise,
        strength: float,
        settings: SamplerSettings,
    ):
        self._denoiser, self._schedule, self._trajectory = denoiser, schedule, trajectory
        self._warp, self._noise, self._strength, self._settings = warp, noise, strength, settings
        self.plan = plan_steps(settings, len(schedule))

    def sample(self) -> Iterator[Tensor]:
        """Yield the target's latents (C, F, h, w) after the restart and every later step; or from a fresh start on."""
        if self.plan.fresh_start:
            yield from self._steps_from(self.plan.fresh_start, self._trajectory[self.plan.fresh_start])
            return
        sources = self._restart_sources()
        *_, restarted = self.restart_passes(sources)
        self._denoiser.forget()
        yield restarted.last.previous
        yield from self.remaining_steps(restarted, sources[-1])

    def __len__(self) -> int:
        """Return how many latents :meth:`sample` yields."""
        first = self.plan.fresh_start or self.plan.restart - 1
        return len(self._schedule) - first

    def restart_passes(self, sources: list[Tensor]) -> Iterator[RestartPass]:
        """Yield the passes of the noisy restart.

        Args:
            sources: K + 1 latents of the source, before the first and after every step of the restart.
        """
        carried: list[Tensor] = []
        for iteration in range(self._settings.restart_iterations):
            result = self._restart_pass(sources, carried, iteration)
            carried = result.carried
            yield result

    def remaining_steps(self, restarted: RestartPass, source: Tensor) -> Iterator[Tensor]:
        """Yield the target's latents after every step that follows the restart.

        Args:
            restarted: the last pass of the restart.
            source: the source's latents (C, F, h, w) before the first of these steps; later ones are the trajectory's.
        """
        yield from self._steps_from(self.plan.restart, source, restarted)

    def _steps_from(self, first: int, source: Tensor, restarted: RestartPass | None = None) -> Iterator[Tensor]:
        """Yield the target's latents after every step from ``first`` on; without a restart it is a fresh start."""
        target, blank, before = source, None, None
        if restarted is not None:
            target, blank, before = restarted.last.previous, restarted.blank, restarted.last
        for step in range(first, len(self._schedule)):
            if step in self.plan.warps:
                warped = self._warp(source, step)
                blank = warped.blank  # (F, h, w)
                target = torch.where(blank, target, warped.image)  # (C, F, h, w)
            before = self._refined_step(target, blank, source, before, step)
            target, source = before.previous, self._trajectory[step + 1]
            yield target

    def _restart_sources(self) -> list[Tensor]:
        steps = range(self.plan.restart)
        if self._settings.restart_source == "trajectory":
            return [self._trajectory[step] for step in (*steps, len(steps))]
        sources = [self._trajectory[0]]
        for step in steps:
            prediction = self._denoiser.predict_source(sources[-1], step)
            sources.append(self._step(prediction, sources[-1], step, self._noise.restart_step(step)).previous)
        return sources

    def _restart_pass(self, sources: list[Tensor], carried: list[Tensor], iteration: int) -> RestartPass:
        target, inputs, outputs = sources[0], [], []
        for step in range(self.plan.restart):
            source = sources[step]
            warped = self._warp(source, step)
            filling = self._filling(source, target, carried, step)
            border = border_columns(warped.blank, self._strength, self._settings.border_frames)  # (w,)
            filling = clean_border(filling, source, border, self._settings.border)
            inputs.append(torch.where(warped.blank, filling, warped.image))
            self._denoiser.face(source, step, 1, keep=True)
            result = self._evaluate(inputs[-1], step, self._noise.restart_step(step))
            target = result.previous
            outputs.append(target)
        return RestartPass(inputs, result, self._carried(outputs, iteration), warped.blank)

    def _filling(self, source: Tensor, target: Tensor, carried: list[Tensor], step: int) -> Tensor:
        if carried:
            return carried[step]
        return source if self._settings.first_filling == "source" else target

    def _carried(self, outputs: list[Tensor], iteration: int) -> list[Tensor]:
        # What a step made fills blanks before the same step, one level cleaner than they should be: so a pass hands on
        # what it found out. Latents of the same level would make all passes alike.
        settings = self._settings
        if iteration == settings.restart_iterations - 1:
            return []
        return [
            carried_latents(
                one,
                self._noise.carried(iteration, step),
                self._schedule,
                step,
                settings.restart_weight,
                settings.restart_shrink,
            )
            for step, one in enumerate(outputs)
        ]

    def _refined_step(
        self, target: Tensor, blank: Tensor, source: Tensor, before: DdimStep | None, step: int
    ) -> DdimStep:
        count = self.plan.evaluations.get(step, 1)
        self._denoiser.face(source, step, count)
        start, clean = target, None if before is None else before.clean
        for evaluation in range(count):
            is_last = evaluation == count - 1
            result = self._evaluate(target, step, self._noise.step(step, evaluation, is_last))
            if not is_last:
                target = self._refined(start, blank, result, clean, before, step, evaluation)
                clean = self._unscaled(result, step)
        return result

    def _refined(
        self,
        start: Tensor,
        blank: Tensor,
        result: DdimStep,
        clean: Tensor,
        before: DdimStep,
        step: int,
        evaluation: int,
    ) -> Tensor:
        match self._settings.refinement:
            case "input":
                return refined_by_output(start, blank, result, self._schedule, step)
            case "previous-clean":
                return refined_by_previous_clean(blank, result.clean, before, self._schedule, step)
            case _:
                noise = self._noise.renewal(step, evaluation)
                now = self._unscaled(result, step)
                return refined_by_clean(start, blank, now, clean, noise, self._schedule, step)

    def _unscaled(self, result: DdimStep, step: int) -> Tensor:
        # A result's x_0 is in the dynamic scale of the next step.
        return result.clean / self._schedule.coefficients(step).rescale

    def _evaluate(self, target: Tensor, step: int, noise: Tensor) -> DdimStep:
        result = self._step(self._denoiser.predict(target, step), target, step, noise)
        check_finite(result.previous, step, len(self._schedule), "the target's latents")
        return result

    def _step(self, prediction: Tensor, latents: Tensor, step: int, noise: Tensor) -> DdimStep:
        return ddim_step(prediction, latents, self._schedule.coefficients(step), noise, self._schedule.prediction)
