"""StereoDiffusion on tiny networks of random weights: structure and invariants, no claim about pictures."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from external_programs import conversion
from torch import Tensor

from stereozero.baselines.readiness import image_model_problem
from stereozero.baselines.stereodiffusion import (
    ImageModel,
    Settings,
    Shift,
    StereoAttention,
    convert,
    ddim_steps,
    denoised,
    guided,
    invert,
    load_image_model,
    noised,
    null_text,
    sample,
    stereo_views,
)
from stereozero.diffusion.schedule import NoiseSchedule
from stereozero.errors import InputError
from stereozero.stereo.warp import forward_warp

FRAMES, HEIGHT, WIDTH = 2, 16, 32
SETTINGS = Settings(steps=5, null_text_steps=1, shift_step=1, attention_step=1, size=None, frames_at_once=2)


@pytest.fixture(scope="module")
def networks() -> tuple[UNet2DConditionModel, AutoencoderKL]:
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        in_channels=4,
        out_channels=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(16, 16),
        layers_per_block=1,
        cross_attention_dim=8,
        attention_head_dim=8,
        norm_num_groups=4,
    )
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 8),
        latent_channels=4,
        norm_num_groups=4,
    )
    return unet.requires_grad_(False).eval(), vae.requires_grad_(False).eval()


def image_model(networks, prediction: str) -> ImageModel:
    words = torch.randn((1, 5, 8), generator=torch.Generator().manual_seed(1))
    schedule = NoiseSchedule.scaled_linear(prediction)
    return ImageModel(*networks, lambda prompts: words.expand(len(prompts), -1, -1), schedule)


@pytest.fixture(scope="module")
def model(networks) -> ImageModel:
    return image_model(networks, "epsilon")


@pytest.fixture(scope="module", params=["epsilon", "v_prediction"])
def each_model(networks, request) -> ImageModel:
    return image_model(networks, request.param)


@pytest.fixture
def pixels() -> Tensor:
    smooth = torch.rand((FRAMES, 3, 4, 8), generator=torch.Generator().manual_seed(2))
    return torch.nn.functional.interpolate(smooth, (HEIGHT, WIDTH), mode="bicubic") * 2 - 1


@pytest.fixture
def near_middle() -> Tensor:
    disparity = torch.zeros(FRAMES, HEIGHT, WIDTH)
    disparity[:, :, 12:24] = 1
    return disparity


def views(model, pixels, disparity, strength, settings=SETTINGS):
    return stereo_views(pixels, disparity, strength, model, settings, torch.Generator().manual_seed(0))


def test_steps_are_those_of_the_released_code():
    steps = ddim_steps(NoiseSchedule.scaled_linear("epsilon"), 50)
    assert [step.time for step in steps] == list(range(980, -1, -20))
    official = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", set_alpha_to_one=False, clip_sample=False
    )
    official.set_timesteps(50)
    assert official.timesteps.tolist() == [step.time for step in steps]
    latents, noise = torch.randn(2, 1, 4, 3, 5, generator=torch.Generator().manual_seed(0))
    for step in steps:
        expected = official.step(noise, step.time, latents).prev_sample
        assert torch.allclose(denoised(latents, noise, step), expected, atol=2e-5)


def test_a_step_back_undoes_a_step():
    latents, noise = torch.randn(2, 1, 4, 3, 5, generator=torch.Generator().manual_seed(0))
    for step in ddim_steps(NoiseSchedule.scaled_linear("epsilon"), 10):
        assert torch.allclose(denoised(noised(latents, noise, step), noise, step), latents, atol=1e-5)


def test_the_inversion_asks_for_noise_at_the_noisier_levels_time(model, pixels, monkeypatch):
    asked = []
    monkeypatch.setattr(ImageModel, "noise", lambda self, latents, time, text: asked.append(time) or latents * 0)
    steps = ddim_steps(model.schedule, 10)
    path = invert(torch.ones(1, 4, 2, 2), torch.zeros(1, 5, 8), model, steps)
    assert asked == list(range(0, 1000, 100))
    assert len(path) == 11
    assert path[-1].mean() == pytest.approx((steps[0].alpha_bar / steps[-1].cleaner) ** 0.5, rel=1e-5)


def test_null_text_brings_guided_sampling_back_to_a_path(each_model, pixels):
    steps = ddim_steps(each_model.schedule, 5)
    empty = each_model.encode_text([""]).expand(FRAMES, -1, -1)
    with torch.no_grad():
        # Of another prompt, so that there is something to correct.
        path = invert(each_model.encode(pixels), -3 * empty, each_model, steps)

    def error(null_text_steps: int) -> float:
        settings = replace(SETTINGS, null_text_steps=null_text_steps)
        embeddings = null_text(path, empty, each_model, steps, settings)
        latents = path[-1]
        for step, embedding in zip(steps, embeddings, strict=True):
            noises = (each_model.noise(latents, step.time, words) for words in (embedding, empty))
            latents = denoised(latents, guided(*noises, settings.guidance), step)
        return float((latents - path[0]).square().mean())

    assert error(10) < error(0)


@pytest.mark.parametrize("kind", ["uni", "bi"])
def test_guidance_1_gives_the_same_at_half_the_work(model, pixels, near_middle, monkeypatch, kind):
    seen, noise = [], ImageModel.noise
    monkeypatch.setattr(
        ImageModel, "noise", lambda self, latents, *others: seen.append(len(latents)) or noise(self, latents, *others)
    )
    one, almost = (
        views(model, pixels, near_middle, 12.5, replace(SETTINGS, attention=kind, guidance=guidance)).right
        for guidance in (1.0, 1.0 + 1e-7)
    )
    assert torch.allclose(one, almost, atol=1e-4)
    half = len(seen) // 2
    assert max(seen[:half]) == 2 * FRAMES
    assert max(seen[half:]) == 4 * FRAMES


def test_frames_do_not_depend_on_their_batch(model, pixels, near_middle):
    together = views(model, pixels, near_middle, 12.5)
    alone = views(model, pixels[1:], near_middle[1:], 12.5)
    assert torch.allclose(together.right[1:], alone.right, atol=1e-3)


def test_without_disparity_the_target_is_the_reconstruction(each_model, pixels):
    result = views(each_model, pixels, torch.zeros(FRAMES, HEIGHT, WIDTH), 12.5)
    assert torch.allclose(result.left, result.right, atol=1e-4)


@pytest.mark.parametrize("attention", ["uni", "none"])
def test_the_left_view_is_never_touched(model, pixels, near_middle, attention):
    settings = replace(SETTINGS, attention=attention)
    stereo = views(model, pixels, near_middle, 12.5, settings)
    mono = views(model, pixels, near_middle * 0, 12.5, settings)
    assert torch.allclose(stereo.left, mono.left, atol=1e-4)
    assert not torch.allclose(stereo.right, mono.right, atol=1e-2)


def test_bidirectional_attention_changes_the_left_view_too(model, pixels, near_middle):
    changed, plain = (
        views(model, pixels, near_middle, 12.5, replace(SETTINGS, attention=kind)).left for kind in ("bi", "none")
    )
    assert not torch.allclose(changed, plain, atol=1e-4)


def test_attention_uses_the_left_views_keys_and_values(networks):
    unet = networks[0]
    attention = unet.down_blocks[0].attentions[0].transformer_blocks[0].attn1
    tokens = torch.randn(8, 6, 16, generator=torch.Generator().manual_seed(0))  # (4 x 2 frames, L, D)
    plain = attention(tokens)
    processor = StereoAttention("uni")
    for processor.active in (False, True):
        result = processor(attention, tokens)
        assert torch.allclose(result[[0, 1, 4, 5]], plain[[0, 1, 4, 5]], atol=1e-6)
        right = processor.active
        assert torch.allclose(result[[2, 3, 6, 7]], plain[[2, 3, 6, 7]], atol=1e-6) != right
    swapped = attention(tokens[[2, 3, 2, 3]], encoder_hidden_states=tokens[[0, 1, 0, 1]])
    assert torch.allclose(result[[2, 3]], swapped[:2], atol=1e-6)
    both = StereoAttention("bi")
    both.active = True
    joint = attention(tokens[:4].reshape(2, 2, 6, 16).transpose(0, 1).reshape(2, 12, 16))  # views joined along tokens
    assert torch.allclose(both(attention, tokens)[[0, 1]], joint[:, :6], atol=1e-6)
    words = torch.randn(8, 3, 16)
    assert torch.allclose(both(attention, tokens, words), attention(tokens, encoder_hidden_states=words), atol=1e-6)


@pytest.mark.parametrize("fails", [False, True])
def test_the_networks_own_attention_is_restored(model, pixels, near_middle, monkeypatch, fails):
    before = {name: id(processor) for name, processor in model.unet.attn_processors.items()}
    if fails:
        monkeypatch.setattr(Shift, "after", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            views(model, pixels, near_middle, 12.5)
    else:
        views(model, pixels, near_middle, 12.5)
    assert {name: id(processor) for name, processor in model.unet.attn_processors.items()} == before


def test_the_right_view_is_renewed_where_the_first_shift_left_no_hole():
    left = torch.randn(1, 4, 4, 8, generator=torch.Generator().manual_seed(0))
    later, own = left + 1, torch.full_like(left, 9.0)
    disparity = torch.zeros(1, 4, 8)
    disparity[..., 3:6] = 1
    shift = Shift(disparity, 25.0, replace(SETTINGS, shift_step=2), torch.Generator())
    assert shift.after(0, left, own) is own
    assert shift.after(1, left, own) is own
    first = shift.after(2, left, own)
    shifted, blank = forward_warp(left, disparity, 25.0, "whole")
    assert blank.any()
    assert torch.equal(first, shifted)
    assert not first[blank.unsqueeze(1).expand_as(first)].any()
    assert shift.after(3, later, own) is own
    again = shift.after(4, later, own)
    assert torch.equal(again, torch.where(blank.unsqueeze(1), own, forward_warp(later, disparity, 25.0, "whole")[0]))


def test_noise_in_holes_follows_from_the_seed():
    left, disparity = torch.ones(1, 4, 4, 8), torch.zeros(1, 4, 8)
    disparity[..., 3:6] = 1
    settings = replace(SETTINGS, shift_step=0, noise_in_holes=True)
    filled = [
        Shift(disparity, 25.0, settings, torch.Generator().manual_seed(seed)).after(0, left, left) for seed in (1, 1, 2)
    ]
    assert torch.equal(filled[0], filled[1])
    assert not torch.equal(filled[0], filled[2])


def test_both_views_start_alike_until_the_first_shift(model):
    start = torch.randn(1, 4, 8, 16, generator=torch.Generator().manual_seed(0))
    text = model.encode_text([""])
    settings = replace(SETTINGS, shift_step=50, attention_step=0)
    steps = ddim_steps(model.schedule, settings.steps)
    shift = Shift(torch.ones(1, 8, 16), 25.0, settings, torch.Generator())
    with torch.no_grad():
        left, right = sample(start, text, [text] * len(steps), shift, model, steps, settings)
    assert torch.allclose(left, right, atol=1e-4)


@pytest.mark.parametrize("size", [None, (16, 16)])
def test_a_clip_keeps_its_size(model, tmp_path, size):
    clip = conversion(tmp_path, frames=3, height=18, width=30)
    target = convert(clip, model, replace(SETTINGS, size=size))
    assert target.shape == clip.source.shape
    assert target.dtype == np.uint8


def test_sizes_that_the_model_cannot_take_are_refused(model, tmp_path):
    with pytest.raises(InputError, match="size is 18 x 30; this model takes multiples of 4 only"):
        convert(conversion(tmp_path), model, replace(SETTINGS, size=(18, 30)))
    with pytest.raises(InputError, match="steps is 2000"):
        convert(conversion(tmp_path), model, replace(SETTINGS, steps=2000))


def test_a_model_is_read_from_a_folder(networks, tmp_path):
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    unet, vae = networks
    missing = image_model_problem(tmp_path, None)
    assert "there is no" in missing
    assert "hf download CompVis/stable-diffusion-v1-4" in missing
    unet.save_pretrained(tmp_path / "unet")
    vae.save_pretrained(tmp_path / "vae")
    DDIMScheduler(beta_schedule="scaled_linear", set_alpha_to_one=False).save_pretrained(tmp_path / "scheduler")
    texts = CLIPTextConfig(
        vocab_size=5,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        max_position_embeddings=7,
        bos_token_id=3,
        eos_token_id=4,
    )
    CLIPTextModel(texts).save_pretrained(tmp_path / "text_encoder")
    words = {"a</w>": 0, "b</w>": 1, "a": 2, "<|startoftext|>": 3, "<|endoftext|>": 4}
    CLIPTokenizer(vocab=words, merges=[], model_max_length=7).save_pretrained(tmp_path / "tokenizer")
    model = load_image_model(tmp_path, None, "cpu")
    assert model.encode_text(["", "a b"]).shape == (2, 7, 8)
    assert model.schedule.final_alpha_bar == pytest.approx(float(model.schedule.alpha_bar[0]))
    assert model.multiple == 4
