"""Dissolved depth maps: one step of a diffusion model takes detail away and keeps the scene's layout (paper, Eq. 5).

The paper writes the step for a noise prediction with alpha-bar; DepthCrafter predicts velocities at Karras' sigmas, and
so is it done here and in the released code: the clean latents are taken for noisy ones of level sigma, without any
noise being added, and the network predicts the clean latents once. The level is the one at index 50 - t of a schedule
of 50 steps: t = 10 is sigma 0.2 and keeps most of the estimate, from t = 30 (sigma 37) on the result is practically a
guess from the frames alone.

Unlike the released code, clips of several windows work, and no estimate is repeated: every level starts from the same
latents, also in the second and further windows.
"""

from torch import Tensor

from stereozero.depth.denoising import predicted_clean
from stereozero.depth.depthcrafter import DepthCrafter, DepthCrafterSettings, VideoCondition
from stereozero.depth.settings import SCHEDULE_STEPS
from stereozero.depth.windows import join, windows
from stereozero.errors import InputError

PAPER_STEPS = (10, 20, 30, 40, 45)
"""The dissolve steps that the paper's tables compare."""


def check_dissolve_step(step: int | None) -> None:
    """Raise InputError unless a dissolve step is None (no dissolving) or a whole number from 1 to 50."""
    if step is None:
        return
    whole = isinstance(step, int) and not isinstance(step, bool)
    if whole and 1 <= step <= SCHEDULE_STEPS:
        return
    hint = " (0 has no noise level; for depth that is not dissolved, say none)" if whole and step == 0 else ""
    raise InputError(
        f"dissolve step: is {step!r}{hint}; a whole number from 1 (hardly any) to {SCHEDULE_STEPS} (most), or none, "
        "is right"
    )


def dissolve(
    model: DepthCrafter, latents: Tensor, condition: VideoCondition, step: int | None, settings: DepthCrafterSettings
) -> Tensor:
    """Dissolve the latents of an estimate, or of any depth (see :func:`encode_disparity`).

    Args:
        model: the networks.
        latents: (F, C, h, w), clean.
        condition: of the same frames.
        step: t of Eq. 5, or None to leave the latents as they are.
        settings: choices; guidance is not used.

    Returns:
        (F, C, h, w) float32, clean. What windows share is cross-faded.

    Raises:
        InputError: see :func:`check_dissolve_step`.
    """
    check_dissolve_step(step)
    if step is None:
        return latents
    levels = model.levels(SCHEDULE_STEPS)
    index = SCHEDULE_STEPS - step
    sigma, timestep = levels.sigmas[index], levels.timesteps[index]
    latents = latents.to(model.device)
    dissolved = latents[:0]  # (0, C, h, w)
    for frames in windows(len(latents), settings.window, settings.overlap):
        given = latents[frames]  # (N, C, h, w)
        velocity = model.predict_velocity(given, sigma, timestep, condition[frames], settings)
        dissolved = join(dissolved, predicted_clean(given, velocity, sigma), len(dissolved) - frames.start)
    return dissolved


def encode_disparity(model: DepthCrafter, disparity: Tensor, settings: DepthCrafterSettings) -> Tensor:
    """Encode a disparity from anywhere as latents that can be dissolved.

    Args:
        model: the networks.
        disparity: (F, H, W) in [0, 1], 1 nearest; H and W multiples of the model's ``size_multiple``.
        settings: choices.

    Returns:
        (F, C, h, w) float32, in the scale of the U-Net.
    """
    pixels = (disparity.float() * 2 - 1).unsqueeze(1).expand(-1, 3, -1, -1)  # (F, 3, H, W)
    return model.encode_pixels(pixels, settings) * model.networks.vae.config.scaling_factor
