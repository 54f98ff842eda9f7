"""The depth model's training: its clips, a few steps of each network, its figures, and the folder that it leaves."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from stereozero.depth.depthcrafter import DepthCrafter
from stereozero.depth.depthcrafter_estimator import DepthCrafterEstimator
from stereozero.depth.dissolve import PAPER_STEPS
from stereozero.errors import InputError
from stereozero.metrics.depth_error import relative_error
from stereozero.world.training.__main__ import main
from stereozero.world.training.data import step_rng
from stereozero.world.training.depth import SAMPLING, DepthParts, DepthSettings, DepthTask, spread_sigmas
from stereozero.world.training.depth_data import HEIGHT, WIDTH, draw_depth_clips, held_out_clips, video_of
from stereozero.world.training.depth_evaluation import consistency_error, depth_figures
from stereozero.world.training.depth_stages import export_depth, halved
from stereozero.world.training.depth_vae import DepthVaeSettings, DepthVaeTask, build_depth_vae, draw_chunks
from stereozero.world.training.loop import Optimisation, Task, Training
from stereozero.world.training.vae import finish_vae

VAE = DepthVaeSettings(widths=(32, 32, 32), latent_channels=4, clips=1, chunk=3)
DEPTH = DepthSettings(widths=(32, 32), attention=(False, False), heads=(1, 1), frames=(3, 4), image_layers=1)


@pytest.fixture(scope="module")
def clips():
    return held_out_clips(2, 4)


@pytest.fixture(scope="module")
def task() -> DepthTask:
    return DepthTask(DEPTH, build_depth_vae(VAE), {"how": {"rate": DEPTH.how.rate}})


class SameBatch:
    """A task that sees its first batch and noise again and again: single batches differ too much."""

    def __init__(self, task: Task):
        self.task, self.module, self.settings = task, task.module, task.settings

    def losses(self, step: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        return self.task.losses(0)


def losses_of(task: Task, steps: int, folder) -> list[float]:
    training = Training(SameBatch(task), Optimisation(rate=task.settings["how"]["rate"], warmup=2), folder)
    return [training._take_step(1000)["loss"] for _ in range(steps)]


def test_clips_follow_from_the_step_and_come_with_their_disparity():
    first, again, other = (draw_depth_clips(step_rng(0, step), 2, 3, 0.5) for step in (1, 1, 2))
    assert first.videos.shape == (2, 3, 3, HEIGHT, WIDTH)
    assert first.disparities.shape == (2, 3, HEIGHT, WIDTH)
    assert torch.equal(first.videos, again.videos)
    assert not torch.equal(first.videos, other.videos)
    assert first.disparities.amin((1, 2, 3)).tolist() == [0, 0]
    assert first.disparities.amax((1, 2, 3)).tolist() == [1, 1]
    assert first.depth_videos().amax() == 1
    assert first.depth_videos().amin() == -1


def test_mirroring_takes_the_disparity_along():
    batches = [draw_depth_clips(step_rng(0, step), 4, 1, 1.0) for step in range(2)]
    for video, disparity in ((v, d) for batch in batches for v, d in zip(batch.videos, batch.disparities, strict=True)):
        edges = disparity[0].diff(dim=1).abs() > 0.2  # (H, W - 1): where something nearer begins
        steps = video[0].diff(dim=2).abs().sum(dim=0)  # (H, W - 1)
        assert steps[edges].mean() > 1.5 * steps[edges.flip(1)].mean()


def test_chunks_are_consecutive_frames():
    chunk = draw_chunks(0, replace(VAE, chunk=2))
    assert chunk.videos.shape == (1, 2, 3, HEIGHT, WIDTH)
    assert (chunk.disparities[:, 1] - chunk.disparities[:, 0]).abs().mean() < 0.05


def test_noise_levels_cover_the_range():
    sigmas = np.sort(spread_sigmas(step_rng(0, 1), 4, (0.05, 700.0)))
    share = np.log(sigmas / 0.05) / np.log(700 / 0.05)
    assert np.floor(4 * share).tolist() == [0, 1, 2, 3]


def test_a_few_steps_make_the_vae_better(tmp_path):
    losses = losses_of(DepthVaeTask(VAE), 8, tmp_path)
    assert losses[-1] < 0.9 * losses[0]


def test_a_few_steps_make_the_unet_better(task, tmp_path):
    losses = losses_of(task, 6, tmp_path)
    assert losses[-1] < 0.95 * losses[0]


def test_condition_is_left_out_now_and_then(task):
    torch.manual_seed(0)
    told = float(task.losses(0)["loss"].detach())
    torch.manual_seed(0)
    without = DepthTask(replace(DEPTH, no_condition=1.0), task._vae, {})
    without.module.load_state_dict(task.module.state_dict())
    torch.manual_seed(0)
    assert float(without.losses(0)["loss"].detach()) != told


def test_the_default_model_has_the_size_that_is_planned_for():
    count = sum(parameter.numel() for parameter in DepthParts(DepthSettings(), 8).parameters())
    count += sum(parameter.numel() for parameter in build_depth_vae(DepthVaeSettings()).parameters())
    assert 2 * count < 4.7e6  # bytes as float16


def test_the_saved_model_is_read_and_estimates(task, tmp_path, clips):
    model = task.module.model(build_depth_vae(VAE))
    halved(model).save_pretrained(tmp_path)
    stored = load_file(tmp_path / "unet" / "diffusion_pytorch_model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}
    read = DepthCrafter.from_pretrained(tmp_path)
    depth = DepthCrafterEstimator(read, replace(SAMPLING, steps=1)).estimate(video_of(clips[0])).values
    assert depth.shape == (4, HEIGHT, WIDTH)


def test_figures_are_means_of_each_kind_of_scene(task, clips):
    model = task.module.model(build_depth_vae(VAE))
    perfect = [clip.disparity for clip in clips]
    guessed = [np.random.default_rng(0).random(truth.shape, dtype=np.float32) for truth in perfect]
    figures = depth_figures(model, clips, {None: guessed} | dict.fromkeys(PAPER_STEPS, perfect))
    assert figures["dissolved"]["45"]["all"] < 1e-4
    assert figures["abs_rel"]["all"] == pytest.approx(
        (figures["abs_rel"]["simple"] + figures["abs_rel"]["complex"]) / 2
    )
    assert figures["abs_rel"]["all"] == pytest.approx(figures["knowing_nothing"]["all"], rel=0.02)


def test_finishing_scales_depth_latents_to_one():
    vae = build_depth_vae(VAE)
    pixels = draw_depth_clips(step_rng(0, 0), 2, 2, 0.5).depth_videos().flatten(0, 1)
    finish_vae(vae, pixels)
    scaled = vae.encode(pixels).latent_dist.mode() * vae.config.scaling_factor
    assert scaled.square().mean().sqrt().item() == pytest.approx(1, rel=0.01)


def test_truth_has_no_error_whatever_its_scale(clips):
    for clip in clips:
        assert relative_error(3 * clip.disparity - 7, clip.depth) < 1e-4
        assert consistency_error(3 * clip.disparity - 7, clip) < 1e-4


def test_flicker_is_inconsistent_and_a_constant_error_is_not(clips):
    clip = clips[0]
    flickering = clip.disparity + np.array([0, 0.1, 0, 0.1], np.float32)[:, None, None]
    assert consistency_error(flickering, clip) == pytest.approx(0.1, rel=0.3)
    bowed = clip.disparity.copy()
    still = clip.layer_ids == 0
    bowed[still] += 0.2
    assert consistency_error(bowed, clip) < 0.05


def test_frames_are_those_of_eight_bits(clips):
    levels = video_of(clips[0]) * 255
    torch.testing.assert_close(levels, levels.round(), rtol=0, atol=1e-4)


@pytest.mark.parametrize("part", ["depth", "evaluate-depth", "export-depth"])
def test_what_must_be_trained_before_is_named(tmp_path, part):
    with pytest.raises(SystemExit, match=r"stereozero.world.training depth-vae"):
        main([part, "--work-dir", str(tmp_path)])


def test_only_an_evaluated_model_is_exported(tmp_path):
    vae = build_depth_vae(DepthVaeSettings())
    vae.save_pretrained(tmp_path / "work" / "depth-vae" / "model")
    parts = DepthParts(DepthSettings(), vae.config.latent_channels)
    Training(_Untrained(parts), DepthSettings().how, tmp_path / "work" / "depth").save()
    with pytest.raises(InputError, match=r"figures.json is not of the depth model at step 0: .* evaluate-depth"):
        export_depth(tmp_path / "work", tmp_path / "model")
    assert not (tmp_path / "model").exists()


class _Untrained:
    def __init__(self, module: torch.nn.Module):
        self.module, self.settings = module, {}
