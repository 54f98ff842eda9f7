"""Measures of generated clips, on clips of which the answer is known."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from stereozero.world.training import evaluation
from stereozero.world.training.data import ClipPool, PoolSettings, object_mask, open_pool, scene_of, to_pixels
from stereozero.world.training.evaluation import (
    colour_kept,
    direction_figures,
    follow,
    latents_apart,
    measured_direction,
    rendered_like,
    rest_figures,
    retrieval,
    shape_kept,
    shape_right,
    vae_figures,
)
from stereozero.world.training.report import draw_losses, draw_samples, write_card


@pytest.fixture(scope="module")
def pool(tmp_path_factory) -> ClipPool:
    return open_pool(tmp_path_factory.mktemp("pool"), PoolSettings(clips=60, split="held-out"))


@pytest.fixture(scope="module")
def videos(pool) -> np.ndarray:
    return np.array(rendered_like(pool, np.empty((60, 8))))


def test_only_errors_on_objects_count_as_those_of_objects(pool, monkeypatch):
    pixels = to_pixels(pool.videos[:, pool.settings.frames // 2])
    masks = np.stack([object_mask(pool.settings, clip, pool.settings.frames // 2) for clip in range(len(pixels))])
    wrong = torch.from_numpy(masks)[:, None] * 0.2 + torch.from_numpy(~masks)[:, None] * 0.7
    monkeypatch.setattr(evaluation, "reconstruct", lambda _, given: given + wrong)
    assert vae_figures(None, pool)["vae_psnr_objects"] == pytest.approx({"simple": 20.0, "complex": 20.0}, abs=1e-3)


def test_directions_of_rendered_clips_are_told_right(pool, videos):
    simple = [scene_of(pool.settings, index) for index in range(0, 60, 2)]
    figures = direction_figures(simple, videos[::2], videos[::2])
    assert figures["direction_counted"] == 30
    assert figures["direction_right"] == figures["direction_right_truth"] > 0.9 * 30


def test_a_still_picture_has_no_direction(pool, videos):
    still = np.repeat(videos[:, :1], 8, axis=1)
    assert {measured_direction(scene_of(pool.settings, index), still[index]) for index in range(10)} == {"still"}


def test_points_follow_what_they_are_on():
    rng = np.random.default_rng(0)
    wide = np.repeat(np.repeat(rng.integers(0, 255, (16, 32, 3), dtype=np.uint8), 4, axis=0), 4, axis=1)  # 64 x 128
    video = np.stack([wide[:, 16 - 2 * time : 112 - 2 * time] for time in range(4)])  # moves right by 2 px a frame
    tracks = follow(video, np.array([[40, 30], [50, 40]]))
    assert tracks[-1] - tracks[0] == pytest.approx(np.array([[6, 0], [6, 0]]), abs=0.5)


def test_colour_is_kept_by_the_rendered_clip_and_lost_by_a_grey_one(pool, videos):
    scene = scene_of(pool.settings, 0)
    assert colour_kept(scene, videos[0], videos[0]) == 1
    faded = videos[0].copy()
    faded[-1] = faded[-1].mean(axis=-1, keepdims=True).astype(np.uint8)
    assert colour_kept(scene, faded, videos[0]) < 0.3


def test_shape_is_kept_by_rendered_clips_and_lost_by_a_grey_one(pool, videos):
    scenes = [scene_of(pool.settings, index) for index in range(0, 20, 2)]
    kept = [shape_kept(scene, video, video) for scene, video in zip(scenes, videos[:20:2], strict=True)]
    assert np.mean(kept) > 0.75
    gone = videos[0].copy()
    gone[-1] = gone[-1].mean(axis=-1, keepdims=True).astype(np.uint8)
    assert shape_kept(scenes[0], gone, videos[0]) < 0.5


def test_shape_is_right_in_rendered_clips_wherever_it_is_and_wrong_if_bent(pool, videos):
    turning = np.flatnonzero(pool.turning)[:4]
    scenes = [scene_of(pool.settings, int(index)) for index in turning]
    for scene, video in zip(scenes, videos[turning], strict=True):
        assert shape_right(scene, video, video) == 1
        shifted, bent = np.roll(video, 3, axis=2), video.copy()
        bent[-1] = np.stack([np.roll(row, round(4 * np.sin(place / 3)), axis=0) for place, row in enumerate(bent[-1])])
        assert shape_right(scene, shifted, video) > 0.9 > 0.8 > shape_right(scene, bent, video)


def test_what_changes_where_nothing_moves_flickers():
    truth = np.full((1, 3, 32, 48, 3), 100, np.uint8)
    truth[0, 1:, 10:14, 10:14] = 200  # a square that appears; 12 x 12 pixels are near it
    video = truth.copy()
    video[0, 1, :, :24] += 5
    video[0, 1, :, 24:] += 2
    restless = 1 - 12 * 12 / (2 * 32 * 48)  # from the first to the second frame only
    figures = rest_figures(video, truth)
    assert figures["share"] == pytest.approx(restless)
    near, resting = 12 * 12, 2 * 32 * 48 - 12 * 12
    assert figures["seen"] == pytest.approx((32 * 48 - near) / resting)  # the left half, twice
    assert figures["change"] == pytest.approx(((32 * 48 - near) * 5 + 32 * 48 * 2) / resting)
    assert rest_figures(truth, truth) == {"share": pytest.approx(restless), "change": 0, "seen": 0}


def test_where_all_moves_nothing_is_at_rest():
    moving = np.random.default_rng(0).integers(0, 255, (1, 4, 32, 32, 3), dtype=np.uint8)
    figures = rest_figures(moving, moving)
    assert figures["share"] == 0
    assert np.isnan([figures["change"], figures["seen"]]).all()


class OracleModel:
    """Stands for an encoder that knows the answer: the picture's number is in its first pixel, the text's in it."""

    device = "cpu"

    def tokenize(self, captions):
        return torch.arange(len(captions))


def test_retrieval_counts_the_right_captions(monkeypatch, pool):
    monkeypatch.setattr(
        "stereozero.world.training.evaluation.similarities",
        lambda model, pixels, tokens: torch.eye(len(tokens)).roll(1, 0) * (tokens >= 20) + torch.eye(len(tokens)) * 0.5,
    )
    first = ClipPool(pool.settings, pool.videos[:40], pool.captions[:40])
    assert retrieval(OracleModel(), first) == pytest.approx((20 + 1) / 40)


def test_pictures_and_card_are_written(tmp_path, pool, videos):
    draw_samples(tmp_path / "samples.png", pool, videos[:2])
    (tmp_path / "losses.csv").write_text("step,seconds,loss\n20,1.0,0.5\n40,2.0,0.4\n")
    draw_losses(tmp_path / "losses.png", {"vae": tmp_path, "unet": tmp_path / "missing"})
    training = {"parameters": 1234, "steps": 5, "minutes": 1.0, "settings": {"batch": 4}}
    reached = {
        "vae_limit": 36.0,
        "first_frame": 34.5,
        "direction_right": 3,
        "direction_counted": 4,
        "colour_kept": 0.9,
        "shape_kept": 0.7,
        "shape_kept_vae": 0.8,
        "shape_right": 0.7,
        "shape_right_vae": 0.8,
        "flicker": 1.2,
        "flicker_truth": 0.5,
        "flicker_vae": 0.7,
        "rest": {"share": 0.5, "change": 0.6, "seen": 0.015},
        "rest_vae": {"share": 0.5, "change": 0.2, "seen": 0.0},
    }
    groups = ("simple", "complex", "turning")
    figures = {"vae_psnr": {"simple": 36.3, "complex": 31.1}, "generator": dict.fromkeys(groups, reached)}
    write_card(tmp_path / "README.md", figures, {"vae": training})
    assert (tmp_path / "samples.png").stat().st_size > 1000 < (tmp_path / "losses.png").stat().st_size
    card = (tmp_path / "README.md").read_text()
    assert "| vae | 1,234 | 5 | 1 |" in card
    assert "| aim on held-out scenes | simple | complex | turning |\n|---|---|---|---|\n" in card
    assert "| VAE, PSNR 28 dB | 36.3 dB | 31.1 dB |  |" in card
    assert "| first frame at most 2 dB below the VAE's | 1.5 dB | 1.5 dB | 1.5 dB |" in card
    assert "| 3 of 4 | 3 of 4 | 3 of 4 |" in card
    assert "| 1.5% (0.0%) | 1.5% (0.0%) | 1.5% (0.0%) |" in card


class AveragingVae:
    """A VAE whose latents are pixels averaged over cells of 4 x 4, or drawn anew for every picture."""

    def __init__(self, *, is_random: bool):
        self.device = torch.device("cpu")
        self._is_random = is_random

    def encode(self, pixels):
        means = torch.nn.functional.avg_pool2d(pixels, 4)  # (N, 3, h, w)
        means = torch.randn_like(means) if self._is_random else means
        return SimpleNamespace(latent_dist=SimpleNamespace(mean=means))


def test_latents_that_move_as_the_picture_are_told_from_others(pool):
    moving, random = (latents_apart(AveragingVae(is_random=flag), pool) for flag in (False, True))
    assert moving.keys() == random.keys() == {"shifted", "turned", "scaled"}
    for name in moving:
        assert moving[name]["simple"] < 0.1
        assert 1.2 < random[name]["simple"] < 2  # 1 of the unrelated one, and less of its neighbours' mean
