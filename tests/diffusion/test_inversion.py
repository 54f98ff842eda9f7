"""Trajectories of given videos: noise levels, and inversion with a denoiser that is known in closed form."""

from dataclasses import dataclass

import pytest
import torch

from stereozero.diffusion.backbone import Conditioning, GuidancePair
from stereozero.diffusion.inversion import inverted_steps, noised_trajectory
from stereozero.diffusion.noise import seeded_noise
from stereozero.diffusion.sampling import sample
from stereozero.diffusion.schedule import NoiseSchedule, ddim_schedule, velocity_target

SHAPE = (4, 3, 16, 20)  # C, F, h, w
SPREAD = 0.6  # standard deviation of the data that the denoiser knows
NOTHING = Conditioning({"nothing": torch.zeros(1, 1)})
VELOCITY = NoiseSchedule.scaled_linear("v_prediction", zero_terminal_snr=True, base_scale=0.7)
EPSILON = NoiseSchedule.scaled_linear("epsilon")


@dataclass
class Gaussian:
    """The best possible denoiser of independent Gaussian data: it keeps x_0's posterior mean, and counts its calls."""

    schedule: NoiseSchedule
    calls: int = 0

    def predict(self, latents, timestep, conditioning):
        self.calls += 1
        alpha_bar = float(self.schedule.alpha_bar[timestep])
        spread = SPREAD * float(self.schedule.scale[timestep])
        variance = alpha_bar * spread**2 + 1 - alpha_bar
        clean = latents * alpha_bar**0.5 * spread**2 / variance
        noise = latents * (1 - alpha_bar) ** 0.5 / variance
        return noise if self.schedule.prediction == "epsilon" else velocity_target(clean, noise, alpha_bar)


def video() -> torch.Tensor:
    return SPREAD * seeded_noise(SHAPE, 1, "video")


def there_and_back(training: NoiseSchedule, spacing: str, steps: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the inverted noise, and where plain DDIM leads from it."""
    backbone = Gaussian(training)
    schedule = ddim_schedule(training, steps, spacing=spacing, eta=0.0)
    *_, start = inverted_steps(backbone, NOTHING, training, schedule, video())
    pair = GuidancePair(NOTHING, NOTHING)
    *_, end = sample(backbone, pair, schedule, start[None], [1], guidance=1.0)
    # The last step leaves x_0 in the scale of its own timestep (reference behaviour).
    return start, end[0] / float(schedule.scale[-1])


def error(training: NoiseSchedule, spacing: str, steps: int) -> float:
    """Relative distance of the end from the video."""
    _, end = there_and_back(training, spacing, steps)
    return float((end - video()).norm() / video().norm())


@pytest.mark.parametrize("training", [VELOCITY, EPSILON], ids=["velocity", "epsilon"])
def test_every_entry_has_its_steps_noise_level(training):
    schedule = ddim_schedule(training, 10, spacing="uniform")
    clean, noise = torch.full(SHAPE, 2.0), seeded_noise(SHAPE, 2, "noise")
    trajectory = noised_trajectory(clean, noise, schedule)
    assert trajectory.shape == (11, *SHAPE)
    assert torch.equal(trajectory[-1], clean)
    for step in range(10):
        now, scale = schedule.coefficients(step), float(schedule.scale[step])
        remainder = trajectory[step] - now.alpha_bar**0.5 * scale * clean
        torch.testing.assert_close(remainder, (1 - now.alpha_bar) ** 0.5 * noise)


def test_where_no_signal_is_left_the_trajectory_begins_with_the_noise():
    noise = seeded_noise(SHAPE, 2, "noise")
    assert torch.equal(noised_trajectory(video(), noise, ddim_schedule(VELOCITY, 10))[0], noise)


@pytest.mark.parametrize(
    ("training", "spacing"), [(VELOCITY, "trailing"), (EPSILON, "uniform")], ids=["velocity", "epsilon"]
)
def test_inversion_leads_to_noise_and_back_to_the_video(training, spacing):
    start, _ = there_and_back(training, spacing, 50)
    assert float(start.std()) == pytest.approx(1.0, abs=0.1)
    at_50, at_200 = (error(training, spacing, steps) for steps in (50, 200))
    assert at_50 < 0.1
    assert at_200 < 0.3 * at_50  # a first-order method


def test_inversion_goes_from_the_cleanest_level_to_the_noisiest_at_one_evaluation_a_step():
    backbone = Gaussian(VELOCITY)
    schedule = ddim_schedule(VELOCITY, 50, eta=1.0)  # eta has no say in it
    entries = list(inverted_steps(backbone, NOTHING, VELOCITY, schedule, video()))
    assert backbone.calls == len(entries) == 50
    for step, latents in zip(reversed(range(50)), entries, strict=True):
        now, spread = schedule.coefficients(step), SPREAD * float(schedule.scale[step])
        expected = (now.alpha_bar * spread**2 + 1 - now.alpha_bar) ** 0.5
        assert float(latents.std()) == pytest.approx(expected, rel=0.1)
