"""Iterative refinement (paper, section 3.2, Eq. 4): a step is evaluated several times, each time with blanks improved.

Each function returns the target's latents before the next evaluation at the same step. All latents are (C, F, h, w).
"""

from math import sqrt

import torch
from torch import Tensor

from stereozero.diffusion.schedule import DdimSchedule, DdimStep, add_noise
from stereozero.stereo.restart import sigma_ratio


def refined_by_output(start: Tensor, blank: Tensor, result: DdimStep, schedule: DdimSchedule, step: int) -> Tensor:
    """Put the evaluation's output, shrunk by the ratio of sigmas, into the blanks (released code).

    The output is one noise level cleaner than ``start``, which keeps the cells that are not blank.
    """
    return torch.where(blank, result.previous * sigma_ratio(schedule, step), start)


def refined_by_clean(
    start: Tensor, blank: Tensor, clean: Tensor, before: Tensor, noise: Tensor, schedule: DdimSchedule, step: int
) -> Tensor:
    """Blend the last two x_0 predictions, and put them into the blanks with fresh noise (Eq. 4).

    The newer one's share is sqrt(abar): little at high noise, where a single prediction is uncertain.

    Args:
        start: before the evaluation.
        blank: (F, h, w) bool.
        clean: the evaluation's x_0 prediction, in the scale of this step.
        before: the one before it, in the same scale.
        noise: standard normal.
        schedule, step: give abar.
    """
    alpha_bar = schedule.coefficients(step).alpha_bar
    blended = torch.lerp(before, clean, sqrt(alpha_bar))
    return torch.where(blank, add_noise(blended, noise, alpha_bar), start)


def refined_by_previous_clean(
    blank: Tensor, clean: Tensor, before: DdimStep, schedule: DdimSchedule, step: int
) -> Tensor:
    """Blend an x_0 prediction into that of the previous step, and redo the previous step's end with it.

    Dormant in the released code. The warped cells get lost in it: they become the previous step's, unwarped.

    Args:
        blank: (F, h, w) bool.
        clean: the latest evaluation's x_0 prediction, after the dynamic rescale.
        before: the previous step's last evaluation.
        schedule, step: the current step.
    """
    share = sqrt(schedule.coefficients(step).alpha_bar_prev)
    blended = torch.where(blank, torch.lerp(before.clean, clean, share), before.clean)
    # What the previous step's "prev" is, is this step's own level.
    return sqrt(schedule.coefficients(step - 1).alpha_bar_prev) * blended + before.direction + before.noise
