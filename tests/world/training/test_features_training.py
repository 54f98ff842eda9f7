"""Training of the feature models: exact correspondences, a few steps, figures, and the folders that they leave."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from stereozero.errors import InputError
from stereozero.metrics.clip_encoder import ClipEncoder, prepare_frames
from stereozero.metrics.met3r.features import HUB_ENTRY, load_from_hub
from stereozero.vision_transformer import VitConfig
from stereozero.world.training import features_stages
from stereozero.world.training.clip import ClipSettings
from stereozero.world.training.data import ClipPool, PoolSettings, open_pool, step_rng, to_pixels
from stereozero.world.training.dino import (
    DinoSettings,
    DinoTask,
    ViewPairs,
    draw_noise,
    draw_pairs,
    point_loss,
    sampled,
)
from stereozero.world.training.features_evaluation import DAMAGES, damaged_views, held_out_pairs, ranking_figures
from stereozero.world.training.loop import Optimisation, Training
from stereozero.world.training.scoring_clip import SETTINGS, ScoringClipTask, to_squares
from stereozero.world.training.stereo_pool import StereoPool, StereoPoolSettings, open_stereo_pool

DINO = DinoSettings(VitConfig(image_size=96, patch_size=8, width=32, depth=1, heads=2), pairs=4, points=16)
CLIP = ClipSettings(image_width=32, image_layers=1, text_width=16, text_layers=1, batch=8)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> StereoPool:
    return open_stereo_pool(tmp_path_factory.mktemp("pool"), StereoPoolSettings(clips=8))


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> ClipPool:
    return open_pool(tmp_path_factory.mktemp("pool"), PoolSettings(clips=64, frames=1))


def test_a_pool_of_pairs_is_kept_and_rendered_anew_for_other_settings(tmp_path):
    settings = StereoPoolSettings(clips=2)
    first = open_stereo_pool(tmp_path, settings)
    assert first.left.shape == (4, 64, 96, 3)
    assert first.disparity.dtype == np.float16
    written = (tmp_path / "train-left.npy").stat().st_mtime_ns
    open_stereo_pool(tmp_path, settings)
    assert (tmp_path / "train-left.npy").stat().st_mtime_ns == written
    assert len(open_stereo_pool(tmp_path, replace(settings, clips=3)).left) == 6
    with pytest.raises(InputError, match="use one of held-out, train"):
        open_stereo_pool(tmp_path, replace(settings, split="test"))


def test_points_of_a_pair_show_the_same_colour(pairs):
    views = draw_pairs(pairs, step_rng(0, 0), DINO)
    here, there = sampled(views.first, views.here), sampled(views.second, views.there)
    shown = views.shown
    assert 0.3 < shown.float().mean() < 1
    same, other = (here - there)[shown].abs().mean(), (here - there.roll(1, 1))[shown].abs().mean()
    assert same < 0.03 < 0.1 < other


def test_a_step_depends_on_its_number_alone(pairs):
    first, again, next_one = (draw_pairs(pairs, step_rng(0, step), DINO) for step in (3, 3, 4))
    assert torch.equal(first.first, again.first)
    assert not torch.equal(first.first, next_one.first)


def test_near_points_are_not_told_apart_and_hidden_ones_do_not_count():
    own = torch.eye(4)[None]
    source = torch.tensor([[[0.0, 0], [4, 0], [50, 0], [90, 0]]])
    shown = torch.tensor([[True, True, True, False]])
    views = ViewPairs(*[torch.zeros(0)] * 4, source=source, shown=shown)
    confused = own[:, [1, 0, 2, 3]]  # the two near points are exchanged
    loss, found = point_loss(own, confused, torch.ones(1, 4), views, DINO)
    assert found == pytest.approx(1 / 3)  # the near points may not find each other, and find a stranger
    strangers = torch.eye(4)[2:3]
    assert point_loss(own, own, strangers, views, DINO)[0] > point_loss(own, own, -strangers, views, DINO)[0]
    assert torch.isfinite(loss)


def test_noise_has_grains(pairs):
    noise = draw_noise(step_rng(0, 0), 8, (64, 96))
    assert noise.shape == (8, 3, 64, 96)
    assert 0 <= noise.min() < 0.05
    assert any((picture[:, ::2] == picture[:, 1::2]).all() for picture in noise)


class SameBatch:
    """A task that sees its first batch again and again: single batches differ too much."""

    def __init__(self, task: DinoTask):
        self.task, self.module, self.settings = task, task.module, task.settings

    def losses(self, step: int) -> dict[str, torch.Tensor]:
        return self.task.losses(0)


def test_a_few_steps_make_the_features_better(pairs, tmp_path):
    training = Training(SameBatch(DinoTask(pairs, DINO)), Optimisation(rate=2e-3, warmup=2), tmp_path)
    losses = [training._take_step(1000)["loss"] for _ in range(15)]
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("preparation", ["crop", "squeeze"])
def test_clip_is_trained_on_frames_as_they_are_scored(clips, preparation):
    frames = clips.videos[:2, 0].copy()
    trained, scored = to_squares(to_pixels(frames), 64, preparation), prepare_frames(frames, 64, preparation)
    assert (trained - scored).abs().max() < 0.02  # half of an 8-bit level, over CLIP's deviation


def test_a_few_steps_make_the_scoring_clip_better(clips, tmp_path):
    training = Training(ScoringClipTask(clips, CLIP), Optimisation(rate=2e-3, warmup=2), tmp_path)
    losses = [training._take_step(1000)["loss"] for _ in range(25)]
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])


def test_the_scoring_clip_is_not_the_generators():
    assert SETTINGS.how.seed != ClipSettings().how.seed


def test_damaged_views_are_what_they_are_called():
    views = damaged_views(held_out_pairs(2, frames=1), 0)
    assert tuple(views) == DAMAGES
    assert np.array_equal(views["shifted"][:, 1:], views["true"][:, :-1])
    assert np.diff(views["blurred"].astype(int), axis=2).std() < np.diff(views["true"].astype(int), axis=2).std()


def test_ranking_counts_pairs_in_order():
    right, wrong = dict(zip(DAMAGES, range(5), strict=True)), dict(zip(DAMAGES, [1, 0, 2, 3, np.nan], strict=True))
    figures = ranking_figures([right, wrong])
    assert figures["ordered"]["true < shifted"] == 0.5
    assert figures["ordered"]["other < noise"] == 0.5
    assert figures["ordered"]["shifted < blurred"] == 1
    assert figures["all"] == pytest.approx((10 + 5) / 20)


def test_evaluated_models_are_exported_and_read_back(tmp_path, monkeypatch, pairs, clips):
    for name, task in ((features_stages.CLIP, ScoringClipTask(clips, SETTINGS)), (features_stages.DINO, _dino(pairs))):
        Training(task, SETTINGS.how, tmp_path / name).save()
    with pytest.raises(InputError, match="evaluate-features"):
        features_stages.export_features(tmp_path, tmp_path / "models")
    monkeypatch.setattr(features_stages, "HELD_OUT", PoolSettings(clips=20, frames=1, split="held-out"))
    monkeypatch.setattr(features_stages, "held_out_pairs", lambda clips: held_out_pairs(clips, frames=1))
    features_stages.evaluate_features(tmp_path, 2, "cpu")
    features_stages.export_features(tmp_path, tmp_path / "models")
    figures = json.loads((tmp_path / "evaluation" / "figures.json").read_text())
    assert 0 <= figures["caption_of_20"]["crop"] <= 1
    assert "features-dino | 1,0" in (tmp_path / "models" / "README.md").read_text()
    video = clips.videos[0].copy()
    assert ClipEncoder.saved(tmp_path / "models" / "clip").embed_frames(video, "crop").shape == (1, 64)
    assert load_from_hub(str(tmp_path / "models" / "dinov2"), HUB_ENTRY).patch_size == 8


def _dino(pairs: StereoPool) -> DinoTask:
    return DinoTask(pairs, DinoSettings())
