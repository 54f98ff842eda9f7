"""A few steps of each network's training, and the folder that they leave."""

import json
from dataclasses import asdict, replace
from hashlib import sha256
from typing import NamedTuple

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from stereozero.backbones.clip_text import UNKNOWN
from stereozero.backbones.dynamicrafter import DynamiCrafter
from stereozero.diffusion.backbone import ClipRequest
from stereozero.world import VOCABULARY, Layer
from stereozero.world.training.clip import ClipSettings, ClipTask, build_conditioner
from stereozero.world.training.correspondence import find_origins
from stereozero.world.training.data import (
    ClipPool,
    PoolSettings,
    draw_frames,
    open_pool,
    scene_of,
    step_rng,
    to_pixels,
)
from stereozero.world.training.evaluation import SamplingSettings, sample_clips
from stereozero.world.training.loop import Optimisation, Task, Training
from stereozero.world.training.moves import moved, similarity
from stereozero.world.training.noising import noised
from stereozero.world.training.report import evaluate
from stereozero.world.training.stages import halved
from stereozero.world.training.unet import (
    FAST,
    SLOW,
    VARIANT,
    UNetSettings,
    UNetTask,
    draw_clips,
    gently,
    main_weights,
)
from stereozero.world.training.vae import (
    DecoderSettings,
    DecoderTask,
    MovedFrames,
    VaeSettings,
    VaeTask,
    build_vae,
    draw_moved,
    edge_error,
    finish_vae,
    mean_latents,
    picture_errors,
    psnr,
    reconstruct,
)

VAE = VaeSettings(widths=(16, 16, 16), latent_channels=4, batch=4)
CLIP = ClipSettings(image_width=32, image_layers=1, text_width=16, text_layers=2, batch=8)
SHA256 = sha256(b"an exported UNet").hexdigest()
# Nothing guessed: a batch that is seen again and again is to stay the same.
UNET = UNetSettings(
    width=16, head_width=8, queries=2, resampler_width=16, resampler_layers=1, batch=2, guessed_share=0.0
)


@pytest.fixture(scope="module")
def pool(tmp_path_factory) -> ClipPool:
    return open_pool(tmp_path_factory.mktemp("pool"), PoolSettings(clips=24, height=32, width=48))


@pytest.fixture
def unet_task(pool) -> UNetTask:
    return UNetTask(pool, UNET, build_vae(VAE), build_conditioner(CLIP), asdict(UNET))


def main_of(pool: ClipPool, clip: int) -> Layer:
    scene = scene_of(pool.settings, clip)
    return scene.layers[scene.main]


class SameBatch:
    """A task that sees its first batch, times and noise again and again: single batches differ too much."""

    def __init__(self, task: Task):
        self.task, self.module, self.settings = task, task.module, task.settings

    def losses(self, step: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        return self.task.losses(0)


def losses_of(task: Task, steps: int, folder) -> list[float]:
    how = Optimisation(rate=task.settings["how"]["rate"], warmup=2)
    training = Training(task, how, folder)
    return [training._take_step(1000)["loss"] for _ in range(steps)]


def test_a_few_steps_make_the_vae_better(pool, tmp_path):
    losses = losses_of(VaeTask(pool, VAE, asdict(VAE)), 15, tmp_path)
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


def test_the_decoder_alone_gets_better_and_latents_stay(pool, tmp_path):
    vae, pixels = build_vae(VAE), to_pixels(pool.videos[:4, 0])
    before = mean_latents(vae, pixels)
    choices = DecoderSettings(batch=4)
    losses = losses_of(DecoderTask(pool, choices, vae, asdict(choices)), 15, tmp_path)
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])
    assert torch.equal(mean_latents(vae, pixels), before)


def test_a_few_steps_make_the_encoder_better(pool, tmp_path):
    losses = losses_of(ClipTask(pool, CLIP), 25, tmp_path)
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])


def test_a_few_steps_make_the_unet_better(unet_task, tmp_path):
    losses = losses_of(SameBatch(unet_task), 12, tmp_path)
    assert losses[-1] < 0.98 * losses[0]  # much of these latents is the untrained VAE's noise


def test_taught_heads_learn_where_to_look(unet_task, tmp_path):
    task = SameBatch(unet_task)
    training = Training(task, replace(UNET.how, warmup=2), tmp_path)
    taught = [training._take_step(1000)["attention"] for _ in range(12)]
    assert taught[-1] < 0.98 * taught[0]


def test_features_learn_to_tell_places(unet_task, tmp_path):
    training = Training(SameBatch(unet_task), replace(UNET.how, warmup=2), tmp_path)
    errors = [training._take_step(1000) for _ in range(12)]
    assert errors[-1]["place"] < 0.7 * errors[0]["place"]
    assert errors[-1]["origin"] < 0.7 * errors[0]["origin"]


def test_errors_weigh_more_on_and_next_to_the_main_object(pool):
    scene = scene_of(pool.settings, 0)
    origins = find_origins(scene, pool.settings.frames, range(8), 16, 24)
    weights = main_weights([origins], 8.0)[0]  # (F, h, w)
    on_main = torch.from_numpy(origins.on_main)
    assert weights.mean().item() == pytest.approx(1)
    assert torch.allclose(weights[on_main], weights.max())
    assert weights.max() / weights.min() == pytest.approx(8)
    assert (weights == weights.max()).sum() > on_main.sum()
    assert torch.equal(main_weights([replace(origins, on_main=origins.on_main & False)], 8.0), torch.ones(1, 8, 16, 24))


def test_an_adopted_unet_is_trained_on_gently(pool, tmp_path):
    choices = gently(UNET, SHA256)
    assert choices.how.rate == pytest.approx(0.15 * UNET.how.rate)
    assert choices.how.seed not in (UNET.how.seed, gently(UNET, sha256(b"another").hexdigest()).how.seed)
    task = UNetTask(pool, choices, build_vae(VAE), build_conditioner(CLIP), asdict(choices))
    before = [parameter.clone() for parameter in task.module.readouts.parameters()]
    losses = Training(task, replace(choices.how, warmup=0), tmp_path)._take_step(1000)
    seen = {"pixels", "edges", "flicker"}
    assert losses.keys() == {"loss", "weighted", "changing", "denoising", "late", "attention"} | seen
    assert all(map(torch.equal, before, task.module.readouts.parameters()))


def test_guesses_of_clips_leave_no_weight_of_the_unet_without_gradient(pool):
    task = task_that_guesses(pool, 1.0)
    task.losses(5)
    task.losses(6)["loss"].backward()
    assert all(parameter.grad is not None for parameter in task.module.unet.parameters())


def test_clips_are_shown_as_guessed_in_the_step_before(pool, monkeypatch):
    # The first clip begins with step 6; the other one had its first evaluation in step 5.
    shown = record_shown(monkeypatch)
    task = task_that_guesses(pool, 1.0)
    for step in (5, 6, 7):
        assert all(torch.isfinite(value) for value in task.losses(step).values())
    first, second, third = shown  # (what is shown (2, C, F, h, w), true latents, timesteps)
    assert torch.equal(first.shown[0], first.true[0])  # nothing is known of what was guessed before
    assert second.times[0] == 999
    for begun, clip in ((second, 1), (third, 0), (third, 1)):
        assert not torch.equal(begun.shown[clip], begun.true[clip])
    assert third.times[0] < second.times[0]
    assert third.times[1] < second.times[1]


def test_clips_are_true_ones_where_told_so(pool, monkeypatch):
    shown = record_shown(monkeypatch)
    task = task_that_guesses(pool, 0.0)
    for step in (5, 6, 7):
        task.losses(step)
    assert all(torch.equal(one.shown, one.true) for one in shown)


class Shown(NamedTuple):
    """What a step showed: latents (B, C, F, h, w), the true ones, timesteps (B,)."""

    shown: torch.Tensor
    true: torch.Tensor
    times: np.ndarray


def record_shown(monkeypatch) -> list[Shown]:
    """Return a list that what each step shows will be added to."""
    recorded = []

    def record(shown, latents, times, schedule):
        recorded.append(Shown(shown, latents, times))
        return noised(shown, latents, times, schedule)

    monkeypatch.setattr("stereozero.world.training.unet.noised", record)
    return recorded


def task_that_guesses(pool: ClipPool, share: float) -> UNetTask:
    """Return a task, with new networks, that shows this share of clips as guessed."""
    choices = replace(gently(UNET, SHA256), guessed_share=share)
    return UNetTask(pool, choices, build_vae(VAE), build_conditioner(CLIP), {})


def test_tokens_outside_the_vocabulary_are_and_stay_nothing(pool, tmp_path):
    task = ClipTask(pool, CLIP)
    losses_of(task, 2, tmp_path)
    embedding = task.module.model.token_embedding.weight
    known = task.module.tokenize(sorted(VOCABULARY)).unique()
    assert UNKNOWN not in known
    assert embedding[known].abs().sum(dim=1).min() > 0
    assert task.module.tokenize(["xylophone"])[0, 1] == UNKNOWN
    assert embedding[UNKNOWN].abs().max() == 0


def rngs(count: int) -> list[np.random.Generator]:
    return [step_rng(0, clip) for clip in range(count)]


def test_clips_are_drawn_at_two_speeds(pool):
    fast = draw_clips(pool, rngs(2), replace(UNET, slow_share=0.0))
    slow = draw_clips(pool, rngs(2), replace(UNET, slow_share=1.0))
    assert fast.pixels.shape == (2, VARIANT.frames, 3, 32, 48)
    assert fast.fs.tolist() == [FAST, FAST]
    assert slow.fs.tolist() == [SLOW, SLOW]
    clip = pool.captions.index(fast.captions[0])
    assert torch.equal(fast.pixels[0], to_pixels(pool.videos[clip, ::2]))


def test_clips_that_turn_and_simple_ones_are_drawn_as_often_as_told(pool):
    assert pool.turning.tolist() == [main_of(pool, clip).turn != 0 for clip in range(24)]
    turning = draw_clips(pool, rngs(40), replace(UNET, turning_share=1.0, simple_share=1.0))
    assert pool.turning[turning.clips].all()
    assert not (turning.clips % 2).any()
    mixed = draw_clips(pool, rngs(400), replace(UNET, turning_share=0.75, simple_share=0.25))
    assert pool.turning[mixed.clips].mean() == pytest.approx(0.75, abs=0.07)
    assert (mixed.clips % 2).mean() == pytest.approx(0.75, abs=0.07)


def test_the_saved_generator_is_read_and_samples(unet_task, tmp_path):
    backbone = unet_task.module.backbone(build_vae(VAE))
    halved(backbone).save_pretrained(tmp_path)
    stored = load_file(tmp_path / "unet" / "diffusion_pytorch_model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}
    read = DynamiCrafter.from_pretrained(tmp_path)
    pair = read.encode_conditioning([ClipRequest("a red disc", seed=1, image=torch.rand(3, 64, 96))])
    latents = torch.randn(1, 4, VARIANT.frames, 16, 24)
    assert torch.isfinite(read.predict(latents, 999, pair.conditional)).all()


def test_an_evaluation_asks_the_saved_generator_where_its_variant_does_not_hold(unet_task, pool, tmp_path, monkeypatch):
    unet_task.module.backbone(build_vae(VAE)).save_pretrained(tmp_path)
    backbone, asked = DynamiCrafter.from_pretrained(tmp_path), []
    predict = backbone.predict
    monkeypatch.setattr(
        backbone, "predict", lambda latents, time, *rest: asked.append(time) or predict(latents, time, *rest)
    )
    sample_clips(backbone, pool, SamplingSettings(clips=1, steps=5))
    assert backbone.variant.hold_below == VARIANT.hold_below == 650
    assert asked == [999, 799]


def test_an_evaluation_also_tells_of_turning_clips_alone(unet_task, pool, tmp_path):
    unet_task.module.backbone(build_vae(VAE)).save_pretrained(tmp_path)
    backbone = DynamiCrafter.from_pretrained(tmp_path)  # whose attentions aren't those of the training
    evaluate(backbone, pool, SamplingSettings(clips=6, steps=1), tmp_path, {"step": 7})
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["step"] == 7
    counted = {name: reached["direction_counted"] for name, reached in figures["generator"].items()}
    assert counted == {"simple": 3, "complex": 3, "turning": pool.turning[:6].sum()}
    assert (tmp_path / "samples.png").is_file()


def test_finishing_the_vae_scales_its_latents_to_one(pool):
    vae, pixels = build_vae(VAE), to_pixels(pool.videos[:, 0])
    finish_vae(vae, pixels)
    scaled = vae.encode(pixels).latent_dist.mean * vae.config.scaling_factor
    assert scaled.square().mean().sqrt().item() == pytest.approx(1, rel=0.01)
    assert reconstruct(vae, pixels).shape == pixels.shape


def test_errors_of_pictures_count_as_their_places_weigh():
    wanted, left = torch.zeros(1, 3, 8, 8), (torch.arange(8) < 4).expand(1, 1, 8, 8)
    decoded = wanted + left * 0.5 + ~left * 7.0
    assert picture_errors(decoded, wanted, left * 1.0)["pixels"].item() == pytest.approx(0.5)
    assert picture_errors(decoded, wanted, left * 1.0)["edges"].item() == 0
    assert picture_errors(decoded, wanted, left * 2.0 + 1.0)["pixels"].item() == pytest.approx((3 * 0.5 + 7) / 4)
    assert picture_errors(decoded, wanted, left * 2.0 + 1.0)["edges"].item() == pytest.approx(6.5 / 7 / 2 / 2)


def test_objects_weigh_more_and_what_came_from_beyond_the_border_nothing():
    kept = torch.tensor([True, False]).view(2, 1, 1, 1)
    moves = similarity(np.zeros(2), np.ones(2), np.array([[4.0, 0.0]] * 2), (8, 8))
    frames, on_object = torch.zeros(2, 3, 8, 8), torch.zeros(2, 1, 8, 8, dtype=torch.bool)
    on_object[..., 5] = True
    weights = MovedFrames(frames, frames, moves, kept, on_object).weights(4.0, margin=1)  # (2, 1, 8, 8)
    assert weights[1].sum() == 7 * 8 + 4 * 8
    assert weights[0].sum() == 2 * 6 + 4 * 6


def test_objects_are_where_moved_frames_show_them(pool):
    drawn = draw_moved(pool, np.random.default_rng(0), 16, 0.5, 4, torch.device("cpu"))
    still = draw_frames(pool, np.random.default_rng(0), 16)
    assert torch.equal(drawn.pixels, still.pixels)
    same = (drawn.on_object == still.on_object).flatten(1).all(dim=1)
    assert torch.equal(same, ~drawn.is_moved.flatten())
    back = similarity(np.zeros(16), np.ones(16), np.zeros((16, 2)), still.pixels.shape[-2:])
    assert torch.equal(moved(still.on_object.float(), back) > 0.5, still.on_object)


def test_psnr_and_edges_of_known_errors():
    black = torch.full((2, 3, 8, 8), -1.0)
    assert psnr(black, black + 2 * 16 / 255).tolist() == pytest.approx([24.05, 24.05], abs=0.01)
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)
    assert edge_error(ramp).item() == pytest.approx(0.5)  # 1 across, 0 down
