"""Noise schedules and the DDIM update.

diffusers' ``DDIMScheduler`` is not used for sampling, for four reasons: it computes the betas
and their product in float32, which moves abar by up to 1e-6 and with it the float32 trap below; its step returns NaN
at zero terminal SNR for some step counts with eta 1; it has no dynamic rescale; and it does not hand out the terms of
a step, which the stereo sampler recombines. :meth:`NoiseSchedule.from_diffusers` still takes the training schedule of
a foreign model from it.

**The float32 trap.** The direction coefficient is sqrt((1 - abar_prev) - sigma^2) with both inputs rounded to float32.
At the first step of a zero-terminal-SNR schedule with eta 1 its true value is 0; float32 gives sqrt(2**-24) = 2.4e-4,
or NaN, depending on the number of steps. The reference's results contain that value, so it is computed the same way
here, and clamped at 0 where it would be NaN. Source: DynamiCrafter, DDIMSampler.make_schedule and p_sample_ddim.

abar is the cumulative signal variance: x_t = sqrt(abar) x_0 + sqrt(1 - abar) eps.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from stereozero.errors import InputError

Prediction = Literal["epsilon", "v_prediction"]
Spacing = Literal["uniform", "trailing"]
_RESCALE_RAMP = 400  # training steps over which the dynamic rescale goes from 1 to its base


@dataclass(frozen=True, eq=False)
class NoiseSchedule:
    """How a backbone was trained to be noised.

    Attributes:
        alpha_bar: (T,) float32, decreasing with the training timestep; exactly 0 at the end for zero terminal SNR.
        scale: (T,) float32, the factor that the clean latent carried in training (dynamic rescale); 1 without.
        prediction: what the network returns, "epsilon" or "v_prediction".
        final_alpha_bar: abar after the last step; 1 leaves no noise, and latents at scale 1. The reference uses that of
            training timestep 0, and the scale of the last step's timestep.
    """

    alpha_bar: np.ndarray
    scale: np.ndarray
    prediction: Prediction
    final_alpha_bar: float

    @classmethod
    def scaled_linear(
        cls,
        prediction: Prediction,
        *,
        zero_terminal_snr: bool = False,
        base_scale: float | None = None,
        set_alpha_to_one: bool = False,
        beta_start: float = 0.00085,
        beta_end: float = 0.012,
        train_steps: int = 1000,
    ) -> "NoiseSchedule":
        """Return the schedule whose sqrt(beta) is linear, computed in float64 and rounded once.

        Args:
            prediction: see the class.
            zero_terminal_snr: shift and scale sqrt(abar) so that it ends at 0 (arXiv 2305.08891, algorithm 1).
            base_scale: end value of the dynamic rescale (0.7 for DynamiCrafter 512, 0.3 for 1024), None for none.
            set_alpha_to_one: abar and scale after the last step are 1, not those that the reference ends at.
            beta_start, beta_end, train_steps: training constants.

        Raises:
            InputError: epsilon prediction together with zero terminal SNR, where x_0 can't be recovered.
        """
        if zero_terminal_snr and prediction == "epsilon":
            raise InputError("zero terminal SNR needs v-prediction: at abar = 0 the noise says nothing about x_0")
        betas = np.linspace(beta_start**0.5, beta_end**0.5, train_steps, dtype=np.float64) ** 2  # (T,)
        alpha_bar = np.cumprod(1 - betas)  # (T,)
        if zero_terminal_snr:
            alpha_bar = _zero_terminal(alpha_bar)
        alpha_bar = alpha_bar.astype(np.float32)
        final = 1.0 if set_alpha_to_one else float(alpha_bar[0])
        return cls(alpha_bar, dynamic_scale(base_scale, train_steps), prediction, final)

    @classmethod
    def from_diffusers(cls, scheduler) -> "NoiseSchedule":
        """Take the training schedule of a diffusers scheduler (``alphas_cumprod`` and ``prediction_type``).

        Raises:
            InputError: its prediction type is neither "epsilon" nor "v_prediction".
        """
        prediction = scheduler.config.prediction_type
        if prediction not in ("epsilon", "v_prediction"):
            raise InputError(f"prediction type {prediction!r} is not supported; it must be epsilon or v_prediction")
        alpha_bar = scheduler.alphas_cumprod.double().numpy().astype(np.float32)  # (T,)
        final = 1.0 if scheduler.config.get("set_alpha_to_one", True) else float(alpha_bar[0])
        return cls(alpha_bar, np.ones_like(alpha_bar), prediction, final)

    @property
    def train_steps(self) -> int:
        """Number of training timesteps T."""
        return len(self.alpha_bar)


class StepCoefficients(NamedTuple):
    """The numbers of one DDIM step, each exactly representable in float32.

    ``rescale`` is scale_prev / scale (1 without dynamic rescale); ``direction`` is the factor of eps.
    """

    timestep: int
    alpha_bar: float
    alpha_bar_prev: float
    sigma: float
    rescale: float
    direction: float


@dataclass(frozen=True, eq=False)
class DdimSchedule:
    """S sampling steps, in sampling order: entry 0 is the noisiest. The reference counts the other way round.

    Attributes:
        timesteps: (S,) int64 training timesteps, strictly decreasing.
        alpha_bar, alpha_bar_prev, sigma, scale, scale_prev: (S,) float32; "prev" is the next cleaner step.
        prediction: what the network returns.
    """

    timesteps: np.ndarray
    alpha_bar: np.ndarray
    alpha_bar_prev: np.ndarray
    sigma: np.ndarray
    scale: np.ndarray
    scale_prev: np.ndarray
    prediction: Prediction

    def __len__(self) -> int:
        return len(self.timesteps)

    @property
    def direction(self) -> np.ndarray:
        """(S,) float32 factor of eps in each step, with the float32 trap (module docstring), never NaN."""
        squared = (np.float32(1) - self.alpha_bar_prev) - np.square(self.sigma)  # (S,)
        return np.sqrt(np.maximum(squared, np.float32(0)))

    def coefficients(self, step: int) -> StepCoefficients:
        """Return step ``step``'s numbers (0 is the noisiest)."""
        return StepCoefficients(
            timestep=int(self.timesteps[step]),
            alpha_bar=float(self.alpha_bar[step]),
            alpha_bar_prev=float(self.alpha_bar_prev[step]),
            sigma=float(self.sigma[step]),
            rescale=float(self.scale_prev[step] / self.scale[step]),
            direction=float(self.direction[step]),
        )


def ddim_schedule(
    schedule: NoiseSchedule, steps: int, *, spacing: Spacing = "trailing", eta: float = 1.0
) -> DdimSchedule:
    """Return the :class:`DdimSchedule` of ``steps`` steps.

    Args:
        schedule: how the backbone was trained.
        steps: number of steps S, 1 to T; "uniform" takes at most T - 1. Exactly S steps come back, always.
        spacing: "trailing" ends at timestep T - 1 (reference name: uniform_trailing); "uniform" starts at timestep 1.
            Where S divides T both give the reference's timesteps. Elsewhere the reference's "uniform" returns more
            steps than asked for (30 becomes 31) and its "trailing" at 61, 103, 121 and 122 a timestep of -1.
        eta: 0 is deterministic DDIM, 1 adds the ancestral sampler's noise.

    Raises:
        InputError: step count or eta out of range, or an epsilon model asked to start where abar is 0.
    """
    if not 0 <= eta <= 1:
        raise InputError(f"eta = {eta} is out of range; it must lie in [0, 1]")
    timesteps = spaced_timesteps(steps, schedule.train_steps, spacing)  # (S,)
    alpha_bar = schedule.alpha_bar[timesteps]  # (S,)
    if schedule.prediction == "epsilon" and np.any(alpha_bar == 0):
        raise InputError(
            f"{steps} steps with {spacing!r} spacing start at timestep {timesteps[0]}, where this epsilon-prediction "
            "model's signal is exactly 0: x_0 can't be recovered there. Use 'uniform' spacing"
        )
    alpha_bar_prev = np.append(alpha_bar[1:], np.float32(schedule.final_alpha_bar)).astype(np.float32)  # (S,)
    scale = schedule.scale[timesteps]  # (S,)
    # Where noise is left at the end, as in the reference, so is the scale: the last step's factor is 1.
    final_scale = np.ones(1, dtype=np.float32) if schedule.final_alpha_bar == 1 else scale[-1:]
    return DdimSchedule(
        timesteps=timesteps,
        alpha_bar=alpha_bar,
        alpha_bar_prev=alpha_bar_prev,
        sigma=_sigmas(alpha_bar, alpha_bar_prev, eta),
        scale=scale,
        scale_prev=np.append(scale[1:], final_scale),
        prediction=schedule.prediction,
    )


def spaced_timesteps(steps: int, train_steps: int, spacing: Spacing) -> np.ndarray:
    """Return (S,) int64 training timesteps, strictly decreasing; see :func:`ddim_schedule`.

    Raises:
        InputError: an unknown spacing or a step count out of range.
    """
    if spacing not in ("uniform", "trailing"):
        raise InputError(f"unknown timestep spacing {spacing!r}; it must be 'uniform' or 'trailing'")
    # "uniform" counts from timestep 1 (the reference adds one), so timestep 0 is never used.
    most = train_steps if spacing == "trailing" else train_steps - 1
    if not 1 <= steps <= most:
        raise InputError(f"{steps} sampling steps: with {spacing!r} spacing it must be 1 to {most}")
    position = np.arange(steps)
    if spacing == "trailing":
        stride = train_steps / steps
        return np.round(train_steps - position * stride).astype(np.int64) - 1
    return (position * train_steps // steps + 1)[::-1].astype(np.int64)


def dynamic_scale(base_scale: float | None, train_steps: int) -> np.ndarray:
    """Return (T,) float32: 1 falling linearly to ``base_scale`` over 400 timesteps, then constant; 1 for None.

    In training the clean latent is multiplied by it (DynamiCrafter, LatentDiffusion.__init__ and forward).
    """
    if base_scale is None:
        return np.ones(train_steps, dtype=np.float32)
    ramp = np.linspace(1.0, base_scale, _RESCALE_RAMP)
    rest = np.full(max(train_steps - _RESCALE_RAMP, 0), base_scale)
    return np.concatenate([ramp, rest])[:train_steps].astype(np.float32)


class DdimStep(NamedTuple):
    """One DDIM update in its terms, each (B, C, F, h, w): ``previous = sqrt(abar_prev) x_0 + direction + noise``.

    ``clean`` is the x_0 prediction after the dynamic rescale, ``epsilon`` the predicted noise, ``direction`` and
    ``noise`` the finished summands, ``previous`` the latents of the next cleaner step.
    """

    clean: Tensor
    epsilon: Tensor
    direction: Tensor
    noise: Tensor
    previous: Tensor


def ddim_step(
    prediction: Tensor, latents: Tensor, coefficients: StepCoefficients, noise: Tensor, kind: Prediction
) -> DdimStep:
    """Take one DDIM step (arXiv 2010.02502, Eq. 12) in the dtype of ``latents``.

    Args:
        prediction: (B, C, F, h, w) the network's output after guidance.
        latents: (B, C, F, h, w) at the step's noise level; keep them float32.
        coefficients: ``schedule.coefficients(i)``.
        noise: (B, C, F, h, w) or broadcastable, standard normal; not used where sigma is 0, but always an argument.
        kind: what ``prediction`` is.
    """
    clean, epsilon = clean_and_epsilon(prediction.to(latents.dtype), latents, coefficients.alpha_bar, kind)
    clean = clean * coefficients.rescale  # (B, C, F, h, w)
    direction = coefficients.direction * epsilon  # (B, C, F, h, w)
    noise_term = coefficients.sigma * noise.to(latents.dtype)  # (B, C, F, h, w)
    previous = _root(coefficients.alpha_bar_prev) * clean + direction + noise_term  # (B, C, F, h, w)
    return DdimStep(clean, epsilon, direction, noise_term, previous)


def clean_and_epsilon(prediction: Tensor, latents: Tensor, alpha_bar: float, kind: Prediction) -> tuple[Tensor, Tensor]:
    """Return the x_0 and noise that a prediction stands for, before any rescale; both like ``latents``."""
    signal, noise = _root(alpha_bar), _root(np.float32(1) - np.float32(alpha_bar))
    if kind == "v_prediction":
        return signal * latents - noise * prediction, signal * prediction + noise * latents
    return (latents - noise * prediction) / signal, prediction


def prediction_of(clean: Tensor, latents: Tensor, alpha_bar: float, kind: Prediction) -> Tensor:
    """Return the network's output that stands for an x_0: the inverse of :func:`clean_and_epsilon`.

    ``alpha_bar`` must be below 1; all tensors are like ``latents``.
    """
    signal, noise = _root(alpha_bar), _root(np.float32(1) - np.float32(alpha_bar))
    return (signal * latents - clean) / noise if kind == "v_prediction" else (latents - signal * clean) / noise


def add_noise(clean: Tensor, noise: Tensor, alpha_bar: Tensor | float) -> Tensor:
    """Return x_t = sqrt(abar) x_0 + sqrt(1 - abar) noise; ``alpha_bar`` is one number or (B,), one a clip.

    A model with dynamic rescale expects ``scale[t] * clean`` for x_0.
    """
    signal, spread = _broadcast_roots(alpha_bar, clean)
    return signal * clean + spread * noise


def velocity_target(clean: Tensor, noise: Tensor, alpha_bar: Tensor | float) -> Tensor:
    """Return what a v-prediction network is trained to return, sqrt(abar) noise - sqrt(1 - abar) x_0.

    Arguments as for :func:`add_noise`.
    """
    signal, spread = _broadcast_roots(alpha_bar, clean)
    return signal * noise - spread * clean


def _broadcast_roots(alpha_bar: Tensor | float, like: Tensor) -> tuple[Tensor, Tensor]:
    alpha_bar = torch.as_tensor(alpha_bar, dtype=torch.float32, device=like.device)
    alpha_bar = alpha_bar.reshape(-1, *[1] * (like.ndim - 1))  # (B or 1, 1, 1, 1, 1)
    return alpha_bar.sqrt().to(like.dtype), (1 - alpha_bar).sqrt().to(like.dtype)


def _root(value: float) -> float:
    return float(np.sqrt(np.float32(value)))


def _sigmas(alpha_bar: np.ndarray, alpha_bar_prev: np.ndarray, eta: float) -> np.ndarray:
    # The reference mixes a float32 reciprocal with float64 arrays. Done the same way the result is equal to the last
    # bit, on which the float32 trap depends.
    now, prev = alpha_bar.astype(np.float64), alpha_bar_prev.astype(np.float64)
    inverse = (np.float32(1) / (np.float32(1) - alpha_bar)).astype(np.float64)  # (S,)
    return (eta * np.sqrt((1 - prev) * inverse * (1 - now / prev))).astype(np.float32)


def _zero_terminal(alpha_bar: np.ndarray) -> np.ndarray:
    root = np.sqrt(alpha_bar)
    shifted = (root - root[-1]) * (root[0] / (root[0] - root[-1]))  # (T,)
    squared = shifted**2
    # Through the betas and back, as the reference stores them: its abar is the product of its 1 - beta.
    alphas = np.concatenate([squared[:1], squared[1:] / squared[:-1]])
    return np.cumprod(1 - (1 - alphas))
