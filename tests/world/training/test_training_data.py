"""Pools of rendered clips and the batches drawn from them."""

import json

import numpy as np
import pytest
import torch

from stereozero.errors import InputError
from stereozero.world import SPLITS, sample_scene
from stereozero.world.training import data
from stereozero.world.training.data import (
    PoolSettings,
    draw_frames,
    open_pool,
    scene_of,
    step_rng,
    to_frames,
    to_pixels,
)

SETTINGS = PoolSettings(clips=4, frames=3, height=32, width=48)


def test_a_pool_holds_the_clips_of_its_split_in_turn(tmp_path):
    pool = open_pool(tmp_path, SETTINGS)
    seeds = SPLITS["train"][:2]
    wanted = [sample_scene(kind, seed, "even") for seed in seeds for kind in ("simple", "complex")]
    assert [scene_of(SETTINGS, index) for index in range(4)] == wanted
    assert pool.videos.shape == (4, 3, 32, 48, 3)
    assert len(set(pool.captions)) == 4


def test_a_pool_is_rendered_once_and_again_when_other_clips_are_wanted(tmp_path):
    first = np.array(open_pool(tmp_path, SETTINGS).videos)
    written = (tmp_path / "train.npy").stat().st_mtime_ns
    assert np.array_equal(open_pool(tmp_path, SETTINGS).videos, first)
    assert (tmp_path / "train.npy").stat().st_mtime_ns == written
    moved = open_pool(tmp_path, PoolSettings(clips=4, frames=3, height=32, width=48, start=1))
    assert np.array_equal(moved.videos[0], first[2])


def test_clips_told_in_an_older_wording_are_told_anew_and_not_rendered_again(tmp_path):
    captions = open_pool(tmp_path, SETTINGS).captions
    written, record = (tmp_path / "train.npy").stat().st_mtime_ns, tmp_path / "train.json"
    told = json.loads(record.read_text())
    record.write_text(json.dumps({"settings": told["settings"], "captions": ["a red disc stays"] * 4}))
    assert open_pool(tmp_path, SETTINGS).captions == captions
    assert json.loads(record.read_text()) == told
    assert (tmp_path / "train.npy").stat().st_mtime_ns == written


def test_parts_rendered_by_several_processes_are_the_same_pool(tmp_path, monkeypatch):
    whole = np.array(open_pool(tmp_path / "whole", SETTINGS).videos)
    monkeypatch.setattr(data, "_PART", 3)
    assert np.array_equal(open_pool(tmp_path / "parts", SETTINGS).videos, whole)


def test_training_and_held_out_clips_share_no_seed():
    assert SPLITS["held-out"].stop <= SPLITS["train"].start
    train, held_out = (scene_of(PoolSettings(split=split), 0) for split in ("train", "held-out"))
    assert train.seed >= 1_000_000 > held_out.seed


def test_a_step_always_draws_the_same_frames(tmp_path):
    pool = open_pool(tmp_path, SETTINGS)
    batches = [draw_frames(pool, step_rng(0, step), 4).pixels for step in (5, 5, 6)]
    assert torch.equal(batches[0], batches[1])
    assert not torch.equal(batches[0], batches[2])


def test_pixels_and_frames_are_each_others_inverse():
    frames = np.arange(2 * 8 * 8 * 3, dtype=np.uint8).reshape(2, 8, 8, 3)
    pixels = to_pixels(frames)
    assert pixels.shape == (2, 3, 8, 8)
    assert pixels.min() == -1
    assert pixels.max() == 1
    assert np.array_equal(to_frames(pixels), frames)


def test_more_clips_than_seeds_are_refused(tmp_path):
    with pytest.raises(InputError, match="held-out"):
        open_pool(tmp_path, PoolSettings(clips=2_000_001, split="held-out"))
    with pytest.raises(InputError, match="unknown"):
        open_pool(tmp_path, PoolSettings(split="test"))
