import pytest
import torch
from dynamicrafter_goldens import build_unet, named_tensor, read_case, split_context
from parity import relative_error

from stereozero.diffusion.guidance import guide, guide_image_and_text, rescale_guidance
from stereozero.diffusion.schedule import NoiseSchedule, ddim_schedule, ddim_step

CASES = ["ddim_tiny_512", "ddim_tiny_256", "ddim_tiny_512_multicond"]
SPACINGS = {"uniform": "uniform", "uniform_trailing": "trailing"}


def noise_schedule(settings):
    return NoiseSchedule.scaled_linear(
        {"v": "v_prediction", "eps": "epsilon"}[settings["parameterization"]],
        zero_terminal_snr=settings["rescale_betas_zero_snr"],
        base_scale=settings["base_scale"],
    )


def sample(facts, unet):
    """The reference's loop in our functions: latents and x_0 after each step, and the first network outputs."""
    settings, inputs = facts["settings"], {key: named_tensor(*value) for key, value in facts["inputs"].items()}
    schedule = ddim_schedule(
        noise_schedule(settings),
        settings["steps"],
        spacing=SPACINGS[settings["timestep_spacing"]],
        eta=settings["eta"],
    )
    conditional = split_context(inputs["cond_context"], frames=4)
    unconditional = split_context(inputs["uncond_context"], frames=4)
    image_only = {"text": unconditional["text"], "image": conditional["image"]}
    latents, steps = inputs["x_T"], []
    for index in range(len(schedule)):
        coefficients = schedule.coefficients(index)
        sample = torch.cat([latents, inputs["c_concat"]], dim=1)
        branches = [conditional, unconditional] + ([image_only] if "cfg_img" in settings else [])
        outputs = [unet(sample, coefficients.timestep, **branch, fs=settings["fs"]) for branch in branches]
        if index == 0:
            first = outputs
        scale = settings["unconditional_guidance_scale"]
        if "cfg_img" in settings:
            guided = guide_image_and_text(outputs[0], outputs[2], outputs[1], scale, settings["cfg_img"])
        else:
            guided = guide(outputs[0], outputs[1], scale)
        guided = rescale_guidance(guided, outputs[0], settings["guidance_rescale"])
        noise = named_tensor(facts["noise"][0].format(k=index), facts["noise"][1])
        step = ddim_step(guided, latents, coefficients, noise, schedule.prediction)
        torch.testing.assert_close(
            step.previous, coefficients.alpha_bar_prev**0.5 * step.clean + step.direction + step.noise
        )
        latents = step.previous
        steps.append(step)
    return torch.stack([step.previous for step in steps]), torch.stack([step.clean for step in steps]), first


@pytest.mark.parametrize("name", CASES)
def test_complete_run_equals_the_reference(name):
    facts, expected = read_case(name)
    unet = build_unet(read_case("unet_tiny_256" if "256" in name else "unet_tiny_512")[0])
    with torch.no_grad():
        latents, clean, first = sample(facts, unet)
    for index in range(facts["settings"]["steps"]):
        assert relative_error(latents[index], expected["x_inter"][index]) < 1e-3
        assert relative_error(clean[index], expected["pred_x0"][index]) < 1e-3
    assert relative_error(first[0], expected["step0_model_cond"]) < 1e-4
    assert relative_error(first[1], expected["step0_model_uncond"]) < 1e-4


@pytest.mark.parametrize("name", CASES)
def test_coefficients_equal_the_reference(name):
    facts, _ = read_case(name)
    settings = facts["settings"]
    schedule = ddim_schedule(
        noise_schedule(settings), settings["steps"], spacing=SPACINGS[settings["timestep_spacing"]]
    )
    for index, expected in enumerate(facts["steps"]):
        step = schedule.coefficients(index)
        assert step.timestep == expected["timestep"]
        assert step.alpha_bar == pytest.approx(expected["alpha"], abs=1e-7)
        assert step.alpha_bar_prev == pytest.approx(expected["alpha_prev"], abs=1e-7)
        assert step.sigma == pytest.approx(expected["sigma"], abs=1e-7)
        if "scale" in expected:
            assert step.rescale == pytest.approx(expected["scale_prev"] / expected["scale"], abs=1e-6)
