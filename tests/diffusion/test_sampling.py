import logging
from dataclasses import dataclass, field

import pytest
import torch

from stereozero.diffusion import sampling
from stereozero.diffusion.backbone import Conditioning, GuidancePair
from stereozero.diffusion.sampling import initial_latents, reporting, sample
from stereozero.diffusion.schedule import NoiseSchedule, clean_and_epsilon, ddim_schedule
from stereozero.errors import StageError

SHAPE = (2, 3, 4, 5)
SCHEDULE = NoiseSchedule.scaled_linear("v_prediction", zero_terminal_snr=True)
PAIR = GuidancePair(Conditioning({"a": torch.ones(1, 1)}), Conditioning({"a": torch.zeros(1, 1)}))


@dataclass
class Perfect:
    """Knows the clean latents: its velocity leads straight to them."""

    clean: torch.Tensor
    schedule: NoiseSchedule = SCHEDULE
    latent_channels: int = 2
    vae_factor: int = 8
    frames: int = 3
    calls: list = field(default_factory=list)
    timesteps: list = field(default_factory=list)

    def predict(self, latents, timestep, conditioning):
        self.calls.append(len(latents))
        self.timesteps.append(timestep)
        alpha_bar = torch.tensor(self.schedule.alpha_bar[timestep])
        noise = (latents - alpha_bar.sqrt() * self.clean) / (1 - alpha_bar).sqrt()
        return alpha_bar.sqrt() * noise - (1 - alpha_bar).sqrt() * self.clean


def model() -> Perfect:
    return Perfect(torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(0)))


def test_a_perfect_model_reaches_the_clean_latents():
    backbone = model()
    start = initial_latents(backbone, [3], 32, 40, "cpu")
    schedule = ddim_schedule(backbone.schedule, 20)
    *_, last = sample(backbone, PAIR, schedule, start, [3], guidance=7.5)
    assert start.shape == last.shape == (1, *SHAPE)
    # What remains is the noise level behind the last step: that of training timestep 0, as in the reference.
    assert (last - backbone.clean).std() < 0.05


def test_evaluations_are_as_many_as_guidance_needs():
    schedule = ddim_schedule(model().schedule, 4)
    start = torch.zeros(1, *SHAPE)
    for options, calls in [
        ({"guidance": 2.0}, [2] * 4),
        ({"guidance": 2.0, "one_batch": False}, [1] * 8),
        ({"guidance": 1.0}, [1] * 4),
    ]:
        backbone = model()
        assert len(list(sample(backbone, PAIR, schedule, start, [1], **options))) == 4
        assert backbone.calls == calls


def test_taking_up_half_way_gives_the_same_numbers_and_other_seeds_others():
    backbone = model()
    schedule = ddim_schedule(backbone.schedule, 6)
    start = initial_latents(backbone, [3], 32, 40, "cpu")
    whole = list(sample(backbone, PAIR, schedule, start, [3], guidance=2.0))
    rest = list(sample(backbone, PAIR, schedule, whole[2], [3], guidance=2.0, start=3))
    assert all(torch.equal(*both) for both in zip(rest, whole[3:], strict=True))
    other = next(sample(backbone, PAIR, schedule, whole[2], [4], guidance=2.0, start=3))
    assert not torch.equal(other, whole[3])


@pytest.mark.parametrize("base_scale", [None, 0.7])
@pytest.mark.parametrize("prediction", ["v_prediction", "epsilon"])
def test_held_steps_evaluate_nothing_and_end_at_what_was_predicted_last(prediction, base_scale):
    training = NoiseSchedule.scaled_linear(prediction, base_scale=base_scale, set_alpha_to_one=True)
    schedule, start = ddim_schedule(training, 10), torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(1))
    backbone = model()
    backbone.predict = lambda latents, timestep, conditioning: backbone.timesteps.append(timestep) or 0.1 * latents
    all_steps = list(sample(backbone, PAIR, schedule, start, [3], guidance=1.0))
    assert backbone.timesteps == schedule.timesteps.tolist() == list(range(999, 0, -100))
    backbone.timesteps.clear()
    steps = list(sample(backbone, PAIR, schedule, start, [3], guidance=1.0, hold_below=700))
    assert backbone.timesteps == [999, 899, 799]
    assert all(torch.equal(*both) for both in zip(steps[:3], all_steps[:3], strict=True))
    last = schedule.coefficients(2)
    clean, _ = clean_and_epsilon(0.1 * steps[1], steps[1], last.alpha_bar, prediction)
    torch.testing.assert_close(steps[-1], clean / float(schedule.scale[2]), rtol=1e-4, atol=1e-4)


def test_held_steps_have_the_noise_of_their_level():
    training = NoiseSchedule.scaled_linear("v_prediction", zero_terminal_snr=True, base_scale=0.7)
    schedule = ddim_schedule(training, 20)
    backbone = Perfect(torch.randn(1, 2, 3, 40, 40, generator=torch.Generator().manual_seed(0)), training)
    start = torch.randn(1, 2, 3, 40, 40, generator=torch.Generator().manual_seed(1))
    steps = list(sample(backbone, PAIR, schedule, start, [3], guidance=1.0, hold_below=900))
    held = backbone.clean / 0.7  # the model's clean latents, at the scale that they had at high noise
    for step in (4, 10, 18):
        coefficients = schedule.coefficients(step)
        clean = held * float(schedule.scale[step])
        noise = steps[step - 1] - coefficients.alpha_bar**0.5 * clean
        assert float(noise.std()) == pytest.approx((1 - coefficients.alpha_bar) ** 0.5, rel=0.05)
        assert abs(float((noise * clean).mean())) < 0.05


def test_sampling_taken_up_at_a_held_step_evaluates_there_once():
    backbone = model()
    schedule = ddim_schedule(backbone.schedule, 6)
    list(sample(backbone, PAIR, schedule, torch.zeros(1, *SHAPE), [3], guidance=1.0, start=3, hold_below=1000))
    assert backbone.timesteps == [schedule.timesteps[3]]


def test_latents_that_are_no_numbers_stop_at_their_step():
    backbone = model()
    backbone.clean = backbone.clean.clone().index_fill_(1, torch.tensor([0]), torch.nan)
    steps = sample(backbone, PAIR, ddim_schedule(backbone.schedule, 4), torch.zeros(1, *SHAPE), [1], guidance=2.0)
    with pytest.raises(StageError, match=r"not finite numbers any more after step 1 of 4; fp16 may overflow"):
        next(steps)


def test_progress_is_lines_for_a_log_file(caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    clock = iter([0.0, 6.0, 12.0, 18.0, 24.0])
    monkeypatch.setattr(sampling.time, "monotonic", lambda: next(clock))
    assert len(list(reporting(iter([torch.zeros(1)] * 4), 4))) == 4
    assert caplog.messages == ["step 2 of 4, 6 s a step, 12 s left", "step 4 of 4, 6 s a step, 0 s left"]
    assert sampling._duration(1000) == "17 min"
