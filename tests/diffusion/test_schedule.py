from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler

from stereozero.diffusion.schedule import (
    NoiseSchedule,
    add_noise,
    clean_and_epsilon,
    ddim_schedule,
    ddim_step,
    velocity_target,
)
from stereozero.errors import InputError

GOLDEN = Path(__file__).parents[1] / "golden" / "dynamicrafter" / "schedules.npz"
MODELS = {
    "256": NoiseSchedule.scaled_linear("epsilon"),
    "512": NoiseSchedule.scaled_linear("v_prediction", zero_terminal_snr=True, base_scale=0.7),
    "1024": NoiseSchedule.scaled_linear("v_prediction", zero_terminal_snr=True, base_scale=0.3),
}
SPACINGS = {"uniform": "uniform", "uniform_trailing": "trailing"}
# Where the reference returns NaN with eta 1 (golden README).
NAN_COUNTS = [7, 11, 14, 15, 20, 25, 33, 34, 35, 37, 38, 39, 62, 63, 64]


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as arrays:
        return dict(arrays)


@pytest.mark.parametrize("model", MODELS)
def test_training_schedule_equals_the_reference(golden, model):
    np.testing.assert_array_equal(MODELS[model].alpha_bar, golden[f"{model}.alphas_cumprod"])
    if model != "256":
        np.testing.assert_array_equal(MODELS[model].scale, golden[f"{model}.scale_arr"][:1000])


@pytest.mark.parametrize("steps", [50, 25])
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("model", MODELS)
def test_sampling_schedule_equals_the_reference_to_the_last_bit(golden, model, spacing, steps):
    schedule = ddim_schedule(MODELS[model], steps, spacing=SPACINGS[spacing])
    prefix = f"{model}.{spacing}.{steps}."
    pairs = {
        "timesteps": schedule.timesteps,
        "ddim_alphas": schedule.alpha_bar,
        "ddim_alphas_prev": schedule.alpha_bar_prev,
        "ddim_sigmas": schedule.sigma,
    }
    if model != "256":
        pairs |= {"ddim_scale_arr": schedule.scale, "ddim_scale_arr_prev": schedule.scale_prev}
    for name, ours in pairs.items():
        np.testing.assert_array_equal(ours[::-1], golden[prefix + name].astype(ours.dtype), err_msg=name)


def test_the_float32_trap_is_there():
    schedule = ddim_schedule(MODELS["512"], 50)
    assert schedule.alpha_bar[0] == 0
    assert schedule.direction[0] == np.float32(2**-12)  # sqrt(2 ** -24)


@pytest.mark.parametrize("spacing", ["uniform", "trailing"])
@pytest.mark.parametrize("model", ["256", "512"])
def test_every_step_count_works(model, spacing):
    for steps in range(1, 1001 if spacing == "trailing" else 1000):
        schedule = ddim_schedule(MODELS[model], steps, spacing=spacing)
        assert len(schedule) == steps
        assert np.all(np.diff(schedule.timesteps) < 0)
        assert 0 <= schedule.timesteps[-1] <= schedule.timesteps[0] <= 999
        for values in (schedule.alpha_bar, schedule.alpha_bar_prev, schedule.sigma, schedule.scale, schedule.direction):
            assert np.all(np.isfinite(values))


@pytest.mark.parametrize("steps", NAN_COUNTS)
def test_no_nan_where_the_reference_has_it(steps):
    schedule = ddim_schedule(MODELS["512"], steps)
    latents = torch.ones(1, 4, 1, 2, 2)
    step = ddim_step(latents, latents, schedule.coefficients(0), latents, schedule.prediction)
    assert torch.isfinite(step.previous).all()


@pytest.mark.parametrize(
    ("steps", "spacing"), [(0, "trailing"), (1001, "trailing"), (1000, "uniform"), (-3, "uniform")]
)
def test_step_count_out_of_range(steps, spacing):
    with pytest.raises(InputError, match=f"{steps} sampling steps"):
        ddim_schedule(MODELS["256"], steps, spacing=spacing)


def test_unknown_spacing():
    with pytest.raises(InputError, match="leading"):
        ddim_schedule(MODELS["256"], 50, spacing="leading")


@pytest.mark.parametrize("eta", [-0.1, 1.5, float("nan")])
def test_eta_out_of_range(eta):
    with pytest.raises(InputError, match="eta"):
        ddim_schedule(MODELS["256"], 50, eta=eta)


def test_epsilon_prediction_cannot_start_without_signal():
    with pytest.raises(InputError, match="zero terminal SNR"):
        NoiseSchedule.scaled_linear("epsilon", zero_terminal_snr=True)
    schedule = NoiseSchedule(MODELS["512"].alpha_bar, MODELS["512"].scale, "epsilon", 1.0)
    with pytest.raises(InputError, match="exactly 0"):
        ddim_schedule(schedule, 50)


@pytest.mark.parametrize("to_one", [False, True])
@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_a_step_equals_diffusers_where_both_apply(prediction, eta, to_one):
    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=to_one,
        prediction_type=prediction,
        timestep_spacing="trailing",
    )
    scheduler.set_timesteps(10)
    schedule = ddim_schedule(NoiseSchedule.from_diffusers(scheduler), 10, eta=eta)
    np.testing.assert_array_equal(schedule.timesteps, scheduler.timesteps)
    generator = torch.Generator().manual_seed(0)
    output, latents, noise = torch.randn(3, 1, 4, 2, 3, 3, generator=generator)
    for index, timestep in enumerate(scheduler.timesteps):
        expected = scheduler.step(output, int(timestep), latents, eta=eta, variance_noise=noise)
        ours = ddim_step(output, latents, schedule.coefficients(index), noise, prediction)
        torch.testing.assert_close(ours.clean, expected.pred_original_sample, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(ours.previous, expected.prev_sample, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("zero_terminal_snr", [False, True])
def test_the_last_step_leaves_no_noise_where_told_so(zero_terminal_snr):
    output, latents, noise = torch.randn(3, 1, 4, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    left = {}
    for to_one in (False, True):
        training = NoiseSchedule.scaled_linear(
            "v_prediction", zero_terminal_snr=zero_terminal_snr, set_alpha_to_one=to_one
        )
        last = ddim_step(output, latents, ddim_schedule(training, 20).coefficients(19), noise, "v_prediction")
        left[to_one] = (last.previous - last.clean).square().mean().sqrt().item()
    assert left[True] == 0
    assert left[False] > 0.02


@pytest.mark.parametrize("steps", [4, 20])
def test_the_last_step_leaves_no_rescale_where_told_so(steps):
    clean, noise = torch.randn(2, 1, 4, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    for to_one in (False, True):
        training = NoiseSchedule.scaled_linear(
            "v_prediction", zero_terminal_snr=True, base_scale=0.7, set_alpha_to_one=to_one
        )
        last = ddim_schedule(training, steps).coefficients(steps - 1)
        scale = float(training.scale[last.timestep])
        noisy = add_noise(scale * clean, noise, last.alpha_bar)
        velocity = velocity_target(scale * clean, noise, last.alpha_bar)
        wanted = clean if to_one else scale * clean
        torch.testing.assert_close(ddim_step(velocity, noisy, last, noise, "v_prediction").clean, wanted)


@pytest.mark.parametrize("alpha_bar", [0.0, 0.3, 0.999])
def test_velocity_target_is_what_the_step_expects(alpha_bar):
    clean, noise = torch.randn(2, 1, 4, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    latents, velocity = add_noise(clean, noise, alpha_bar), velocity_target(clean, noise, alpha_bar)
    found_clean, found_noise = clean_and_epsilon(velocity, latents, alpha_bar, "v_prediction")
    torch.testing.assert_close(found_clean, clean)
    torch.testing.assert_close(found_noise, noise)


def test_clips_of_a_batch_are_noised_to_their_own_level():
    clean, noise = torch.randn(2, 3, 4, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    levels = torch.tensor([0.0, 0.5, 1.0])
    noised, velocity = add_noise(clean, noise, levels), velocity_target(clean, noise, levels)
    for clip, level in enumerate(levels.tolist()):
        torch.testing.assert_close(noised[clip], add_noise(clean[clip], noise[clip], level))
        torch.testing.assert_close(velocity[clip], velocity_target(clean[clip], noise[clip], level))
    torch.testing.assert_close(noised[0], noise[0])
    torch.testing.assert_close(noised[2], clean[2])
