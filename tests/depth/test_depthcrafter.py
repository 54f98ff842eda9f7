from dataclasses import replace

import pytest
import torch
from depthcrafter_goldens import FACTS, arrays, case_noise, case_settings, case_video, named_tensor
from diffusers import EulerDiscreteScheduler
from parity import assert_equals_reference

from stereozero.backbones.clip_image import resize_with_gaussian
from stereozero.depth.depthcrafter import DepthCrafter, DepthCrafterSettings
from stereozero.depth.dissolve import dissolve
from stereozero.errors import InputError

TOLERANCE = 1e-4  # the reference's own float32 error is 7e-6
CASES = FACTS["cases"]
PLAIN = [name for name in CASES if not name.startswith("dissolve")]
DISSOLVED = [name for name in CASES if name.startswith("dissolve")]
FEW_FRAMES = DepthCrafterSettings(steps=2, guidance=1.0)


def assert_close(actual, expected):
    assert_equals_reference(actual, expected, TOLERANCE)


def estimate(model, name):
    """Return the condition, the latents and the settings of a case."""
    case = CASES[name]
    settings, noise = case_settings(case), case_noise(case)
    condition = model.encode(case_video(case), noise.augmentation, settings)
    return condition, model.sample(condition, noise.initial, settings), settings


def check_decoded(model, name, latents, settings):
    step = CASES[name]["depth_subsample"]
    assert_close(model.decode(latents, settings)[:, ::step, ::step], arrays()[f"{name}/depth"])
    raw = arrays().get(f"{name}/decoded_raw_sub4")
    if raw is not None:
        assert_close(model.decode_pixels(latents, settings)[..., ::4, ::4].transpose(0, 1), raw)


@pytest.mark.parametrize("steps", [5, 50])
def test_golden_noise_levels(golden_model, steps):
    levels = golden_model.levels(steps)
    torch.testing.assert_close(levels.sigmas, arrays()[f"sigmas_{steps}"], rtol=1e-6, atol=0)
    torch.testing.assert_close(levels.timesteps, arrays()[f"timesteps_{steps}"], rtol=1e-6, atol=1e-6)
    assert levels.initial == pytest.approx(FACTS["init_noise_sigma"])


@pytest.mark.parametrize(("size", "name", "every"), [((24, 20), "24x20", 1), ((112, 176), "up_112x176", 4)])
def test_golden_resize(size, name, every):
    small = named_tensor("input:dissolve/resize_in", (1, 3, 48, 80))
    pixels = small.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    assert_close(resize_with_gaussian(pixels, *size)[..., ::every, ::every], arrays()[f"resize/out_{name}"])


def test_golden_unet_call(golden_model):
    sample = named_tensor("input:dissolve/unet_sample", (1, 3, 8, 8, 8))
    tokens = named_tensor("input:dissolve/unet_context", (1, 3, 32))
    velocity = golden_model.networks.unet(sample, torch.tensor([1.2]), tokens, torch.tensor([[7, 127, 0.02]]))
    assert_close(velocity, arrays()["unet_single/out"])


def test_golden_condition(golden_model):
    condition, _, _ = estimate(golden_model, "plain_g1")
    assert_close(condition.tokens, arrays()["video_embeddings"])
    assert_close(condition.latents, arrays()["video_latents"])


@pytest.mark.parametrize("name", PLAIN)
def test_golden_estimate(golden_model, name):
    _, latents, settings = estimate(golden_model, name)
    assert_close(latents, arrays()[f"{name}/latents_final"])
    check_decoded(golden_model, name, latents, settings)


@pytest.mark.parametrize("name", DISSOLVED)
def test_golden_dissolve(golden_model, name):
    case = CASES[name]
    condition, latents, settings = estimate(golden_model, name)
    assert_close(latents, arrays()[f"{name}/latents_before_dissolve"])
    dissolved = dissolve(golden_model, latents, condition, 50 - case["dissolve_inference_step"], settings)
    assert_close(dissolved, arrays()[f"{name}/latents_final"])
    check_decoded(golden_model, name, dissolved, settings)


@pytest.mark.parametrize("name", DISSOLVED)
def test_golden_velocity_of_dissolving(golden_model, name):
    case = CASES[name]
    condition, _, settings = estimate(golden_model, name)
    latents = arrays()[f"{name}/latents_before_dissolve"]
    sigma, timestep = (torch.tensor(case[f"dissolve_{what}"]) for what in ("sigma", "timestep"))
    velocity = golden_model.predict_velocity(latents, sigma, timestep, condition, settings)
    assert_close(velocity, arrays()[f"{name}/v_prediction"])


@pytest.mark.parametrize("frames", [1, 2])
def test_short_clips(golden_model, frames):
    noise = golden_model.draw_noise(frames, 64, 64, FEW_FRAMES)
    condition = golden_model.encode(torch.rand(frames, 3, 64, 64), noise.augmentation, FEW_FRAMES)
    depth = golden_model.decode(golden_model.sample(condition, noise.initial, FEW_FRAMES), FEW_FRAMES)
    assert depth.shape == (frames, 64, 64)
    assert depth.min() >= 0
    assert depth.max() <= 1


def test_noise_follows_from_the_seed_and_lasts_one_window(golden_model):
    settings = DepthCrafterSettings(window=3, overlap=1)
    noise, again = (golden_model.draw_noise(5, 32, 48, settings) for _ in range(2))
    assert noise.augmentation.shape == (5, 3, 32, 48)
    assert noise.initial.shape == (3, 4, 4, 6)
    assert torch.equal(noise.initial, again.initial)
    assert not torch.equal(noise.initial, golden_model.draw_noise(5, 32, 48, replace(settings, seed=1)).initial)


def test_windows_without_overlap_are_independent(golden_model):
    settings = replace(FEW_FRAMES, window=2, overlap=0)
    noise = golden_model.draw_noise(4, 64, 64, settings)
    condition = golden_model.encode(torch.rand(4, 3, 64, 64), noise.augmentation, settings)
    together = golden_model.sample(condition, noise.initial, settings)
    second = golden_model.sample(condition[slice(2, 4)], noise.initial, settings)
    torch.testing.assert_close(together[2:], second, rtol=0, atol=1e-6)


def test_saved_folder_is_read_back(golden_model, tmp_path):
    golden_model.save_pretrained(tmp_path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["image_encoder", "scheduler", "unet", "vae"]
    again = DepthCrafter.from_pretrained(tmp_path)
    _, expected, _ = estimate(golden_model, "plain_g1")
    _, latents, _ = estimate(again, "plain_g1")
    torch.testing.assert_close(latents, expected, rtol=0, atol=1e-5)  # how weights lie in memory changes rounding


def test_published_pair_takes_the_unet_from_its_own_folder(golden_model, tmp_path):
    base, own = tmp_path / "svd", tmp_path / "depthcrafter"
    golden_model.save_pretrained(base)
    (base / "unet").rename(own)
    (base / "vae" / "diffusion_pytorch_model.safetensors").rename(
        base / "vae" / "diffusion_pytorch_model.fp16.safetensors"
    )
    config = own / "config.json"
    config.write_text(
        config.read_text().replace("FramewiseUNet", "DiffusersUNetSpatioTemporalConditionModelDepthCrafter")
    )
    model = DepthCrafter.from_pretrained(base, own)
    assert torch.equal(model.networks.unet.conv_in.weight, golden_model.networks.unet.conv_in.weight)


def test_vae_stays_in_float32(golden_model, tmp_path):
    golden_model.save_pretrained(tmp_path)
    model = DepthCrafter.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert model.networks.unet.dtype == torch.bfloat16
    assert model.networks.vae.dtype == torch.float32


def test_half_precision_is_close(golden_model, tmp_path):
    golden_model.save_pretrained(tmp_path)
    model = DepthCrafter.from_pretrained(tmp_path, dtype=torch.bfloat16)
    _, expected, _ = estimate(golden_model, "plain_g1")
    _, latents, _ = estimate(model, "plain_g1")
    assert latents.dtype == torch.float32
    assert (latents - expected).abs().mean() < 0.05 * expected.std()


def test_missing_part_of_a_folder(golden_model, tmp_path):
    golden_model.save_pretrained(tmp_path)
    (tmp_path / "vae" / "config.json").unlink()
    with pytest.raises(InputError, match=r"vae: has no config.json; the folder of a saved AutoencoderKLTemporalDec"):
        DepthCrafter.from_pretrained(tmp_path)


def test_missing_weights(golden_model, tmp_path):
    golden_model.save_pretrained(tmp_path)
    (tmp_path / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(InputError, match="unet: the saved network is damaged"):
        DepthCrafter.from_pretrained(tmp_path)


def test_weights_of_another_config(golden_model, tmp_path):
    golden_model.save_pretrained(tmp_path)
    config = tmp_path / "image_encoder" / "config.json"
    config.write_text(config.read_text().replace('"num_hidden_layers": 2', '"num_hidden_layers": 3'))
    with pytest.raises(InputError, match=r"image_encoder: the weights are not those of config.json: 16 missing"):
        DepthCrafter.from_pretrained(tmp_path)


def test_scheduler_of_another_kind(golden_model):
    scheduler = EulerDiscreteScheduler(prediction_type="epsilon", timestep_type="continuous", use_karras_sigmas=True)
    with pytest.raises(InputError, match=r"the scheduler has \{'prediction_type': 'epsilon'\}"):
        DepthCrafter(golden_model.networks, scheduler)


def test_size_that_the_networks_cannot_halve(golden_model):
    with pytest.raises(InputError, match=r"video of 64 x 72 pixels .* both must be multiples of 16"):
        golden_model.encode(torch.rand(2, 3, 64, 72), torch.zeros(2, 3, 64, 72), FEW_FRAMES)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"steps": 0}, "steps is 0; at least 1"),
        ({"frames_at_once": -1}, "frames_at_once is -1"),
        ({"guidance": 0.5}, r"guidance is 0.5 \(1 or more is right\)"),
        ({"noise_augmentation": -0.1}, "noise augmentation -0.1"),
        ({"window": 4, "overlap": 4}, "window 4, overlap 4"),
        ({"window": 0, "overlap": 0}, "a window of at least 1"),
    ],
)
def test_settings_out_of_range(wrong, message):
    with pytest.raises(InputError, match=message):
        DepthCrafterSettings(**wrong)
