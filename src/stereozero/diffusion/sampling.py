"""Sampling: from noise to a clip's latents, step by step."""

import logging
import math
import time
from collections.abc import Iterator, Sequence

from torch import Tensor

from stereozero.diffusion.backbone import Backbone, GuidancePair
from stereozero.diffusion.guidance import guided_prediction
from stereozero.diffusion.noise import batched_noise
from stereozero.diffusion.schedule import DdimSchedule, ddim_step, prediction_of
from stereozero.errors import StageError

log = logging.getLogger(__name__)

_REPORT_EVERY_S = 10.0


def initial_latents(backbone: Backbone, seeds: Sequence[int], height: int, width: int, device: str) -> Tensor:
    """Return x_T of B clips: (B, C, F, h, w) float32 standard normal noise, clip b's from ``seeds[b]`` alone.

    Args:
        backbone: gives C, F and the size of a latent cell.
        seeds: one a clip.
        height, width: pixels.
        device: where the latents are wanted.
    """
    shape = (backbone.latent_channels, backbone.frames, height // backbone.vae_factor, width // backbone.vae_factor)
    return batched_noise(shape, seeds, "initial", device=device)


def sample(
    backbone: Backbone,
    pair: GuidancePair,
    schedule: DdimSchedule,
    latents: Tensor,
    seeds: Sequence[int],
    *,
    guidance: float,
    image_guidance: float | None = None,
    rescale: float = 0.0,
    one_batch: bool = True,
    start: int = 0,
    hold_below: int = 0,
) -> Iterator[Tensor]:
    """Yield the latents after every DDIM step from ``start`` on, each (B, C, F, h, w) float32.

    What is yielded after step i depends on the latents before it and on ``seeds``, on nothing else: sampling can be
    taken up at any step of a stored trajectory and gives the same numbers. Only where x_0 is held, it depends on the
    step that x_0 was predicted in, too.

    Args:
        backbone: the model.
        pair: conditions of B clips.
        schedule: the steps.
        latents: (B, C, F, h, w) float32 before step ``start``; x_T for step 0.
        seeds: one a clip, of the noise that each step adds.
        guidance: scale of classifier-free guidance; 1 is none.
        image_guidance: scale towards the image alone; see :func:`~stereozero.diffusion.guidance.guided_prediction`.
        rescale: see :func:`~stereozero.diffusion.guidance.rescale_guidance`.
        one_batch: see :func:`~stereozero.diffusion.guidance.guided_prediction`.
        start: first step, 0 is the noisiest.
        hold_below: timestep; steps below it, but for the first one taken, go on to the x_0 that was predicted last,
            without an evaluation of the network.

    Raises:
        StageError: latents stopped being finite numbers; the message names the step.
    """
    taken = None
    for step in range(start, len(schedule)):
        coefficients = schedule.coefficients(step)
        if taken is not None and coefficients.timestep < hold_below:
            # The step before left its x_0 in the dynamic scale of this one.
            prediction = prediction_of(taken.clean, latents, coefficients.alpha_bar, schedule.prediction)
        else:
            prediction = guided_prediction(
                backbone,
                latents,
                coefficients.timestep,
                pair,
                guidance,
                image_scale=image_guidance,
                rescale=rescale,
                one_batch=one_batch,
            )  # (B, C, F, h, w)
        noise = batched_noise(latents.shape[1:], seeds, "step", step, device=latents.device)  # (B, C, F, h, w)
        taken = ddim_step(prediction, latents, coefficients, noise, schedule.prediction)
        latents = taken.previous  # (B, C, F, h, w)
        check_finite(latents, step, len(schedule))
        yield latents


def reporting(steps: Iterator[Tensor], count: int) -> Iterator[Tensor]:
    """Pass on what ``steps`` yields; log how far it is every ten seconds, one line each, and once at the end."""
    started = reported = time.monotonic()
    for done, latents in enumerate(steps, 1):
        now = time.monotonic()
        if now - reported >= _REPORT_EVERY_S or done == count:
            each = (now - started) / done
            log.info("step %d of %d, %.2g s a step, %s left", done, count, each, _duration(each * (count - done)))
            reported = now
        yield latents


def check_finite(latents: Tensor, step: int, steps: int, name: str = "the latents") -> None:
    """Make sure that latents are numbers after a step.

    Args:
        latents: any shape.
        step, steps: the step that was taken, from 0, and how many there are.
        name: what to call them in the message.

    Raises:
        StageError: a value is NaN or infinite; the message names the step.
    """
    if not latents.isfinite().all():
        raise StageError(
            f"{name} are not finite numbers any more after step {step + 1} of {steps}; "
            "fp16 may overflow, use dtype bf16 or fp32; in fp32 the model's weights are damaged"
        )


def _duration(seconds: float) -> str:
    return f"{math.ceil(seconds / 60)} min" if seconds > 90 else f"{math.ceil(seconds)} s"
