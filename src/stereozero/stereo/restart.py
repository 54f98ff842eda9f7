"""Noisy restart (paper, section 3.1, Eq. 2): latents of one pass over the first steps fill the blanks of the next."""

from torch import Tensor

from stereozero.diffusion.schedule import DdimSchedule


def carried_latents(
    latents: Tensor, noise: Tensor, schedule: DdimSchedule, step: int, weight: str, shrink: bool
) -> Tensor:
    """Return what a pass hands to the next one for a step: ``latents (1 - a) + sigma noise a`` (Eq. 2).

    Args:
        latents: (C, F, h, w) of the target.
        noise: (C, F, h, w) standard normal.
        schedule, step: give abar and sigma.
        weight: what a is: "alpha" for abar, "root-alpha" for its root (released code).
        shrink: also multiply the latents by this step's sigma over the next noisier one's (released code; 1 at step 0).

    Returns:
        (C, F, h, w)
    """
    now = schedule.coefficients(step)
    share = now.alpha_bar if weight == "alpha" else now.alpha_bar**0.5
    kept = (1 - share) * (sigma_ratio(schedule, step) if shrink else 1.0)
    return latents * kept + now.sigma * noise * share


def sigma_ratio(schedule: DdimSchedule, step: int) -> float:
    """Return sigma of a step over sigma of the next noisier one; 1 at the noisiest step and where sigma is 0."""
    noisier = float(schedule.sigma[step - 1]) if step else 0.0
    return float(schedule.sigma[step]) / noisier if noisier else 1.0
