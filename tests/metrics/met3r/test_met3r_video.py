"""The score of a video: sizes, directions, units, frames in batches, and what is undefined."""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as nnf

from stereozero.metrics.clip_pair import ClipPair
from stereozero.metrics.met3r.columns import SCORES
from stereozero.metrics.met3r.matching import StereoMatching
from stereozero.metrics.met3r.score import Met3r
from stereozero.metrics.met3r.upsampling import Interpolation
from stereozero.metrics.met3r.video import SizeRule, VideoScorer, measure_met3r


def colours(images):
    """Features that need no weights: mean colours of patches of 2 px, and a constant."""
    patches = nnf.avg_pool2d(images, 2)
    return torch.cat([patches, torch.ones_like(patches[:, :1])], dim=1)


@pytest.fixture
def scorer() -> VideoScorer:
    return VideoScorer(Met3r(StereoMatching(), colours, Interpolation("bilinear")), SizeRule(2, 16), batch=2)


def test_damage_is_ranked_and_a_copy_is_rewarded(scorer, shifted_views):
    left, right = shifted_views(64, 96, 2.5, frames=3)
    rows = np.roll(right, 3, axis=1)
    noise = np.random.default_rng(0).integers(0, 256, right.shape, dtype=np.uint8)
    copy, true, shifted, random = (
        measure_met3r(ClipPair(left, view), scorer).clip for view in (left, right, rows, noise)
    )
    assert copy["met3r"] == pytest.approx(0, abs=0.01)
    assert 0 < true["met3r"] < shifted["met3r"] < random["met3r"] < 200
    assert true["met3r_overlap"] > 90


def test_a_left_target_is_scored_like_a_right_one(scorer, shifted_views):
    left, right = shifted_views(64, 96, 2.5)
    there = measure_met3r(ClipPair(left, right), scorer).clip
    back = measure_met3r(ClipPair(right, left, target_side="left"), scorer).clip
    assert back["met3r"] == pytest.approx(there["met3r"], rel=1e-4)
    assert back["met3r_one_way"] != there["met3r_one_way"]


def test_batches_and_frames_do_not_mix(scorer, shifted_views):
    left, right = shifted_views(48, 64, 1.5, frames=3)
    right = right.copy()
    right[1] = 255 - right[1]
    whole = measure_met3r(ClipPair(left, right), scorer)
    assert [len(values) for values in whole.per_frame.values()] == [3, 3, 3]
    for frame in range(3):
        alone = measure_met3r(ClipPair(left[frame : frame + 1], right[frame : frame + 1]), scorer)
        assert alone.clip["met3r"] == pytest.approx(whole.per_frame["met3r"][frame], rel=1e-5)
    assert whole.clip["met3r"] == pytest.approx(np.mean(whole.per_frame["met3r"]))


def test_frames_of_one_colour_are_undefined_with_a_reason(scorer, shifted_views):
    left, right = shifted_views(48, 64, 1.5, frames=3)
    left, right = left.copy(), right.copy()
    left[1], right[1] = 0, 1
    partly = measure_met3r(ClipPair(left, right), scorer)
    assert partly.per_frame["met3r"][1] is None
    assert partly.clip["met3r"] is not None
    assert any("undefined in 1 of 3 frames" in note and "of one colour" in note for note in partly.notes)
    black = measure_met3r(ClipPair(np.zeros_like(left), np.zeros_like(left)), scorer)
    assert black.clip["met3r"] is None
    assert black.clip["met3r_one_way"] is None
    one_black = measure_met3r(ClipPair(left[:1], np.zeros_like(left[:1])), scorer)
    assert one_black.clip["met3r"] > 1


def test_an_empty_overlap_is_undefined_with_a_reason(scorer, shifted_views, monkeypatch):
    def hidden(disparity, side):
        return np.zeros(disparity.shape, dtype=bool)

    monkeypatch.setattr("stereozero.metrics.met3r.matching.visible_pixels", hidden)
    result = measure_met3r(ClipPair(*shifted_views(48, 64, 1.5)), scorer)
    assert result.clip == {"met3r": None, "met3r_one_way": None, "met3r_overlap": 0.0}
    assert any("no pixel of one view is shown in the other" in note for note in result.notes)


@pytest.mark.parametrize(
    ("rule", "given", "size"),
    [
        (SizeRule(14), (64, 96), (70, 98)),
        (SizeRule(112), (576, 1024), (560, 1008)),
        (SizeRule(8, 128), (64, 96), (128, 128)),
        (SizeRule(16, shorter_side=256), (576, 1024), (256, 448)),
        (SizeRule(8), (64, 96), (64, 96)),
        (SizeRule(112), (10, 10), (112, 112)),
    ],
)
def test_sides_become_the_nearest_multiples(rule, given, size):
    assert rule.fit(*given) == size


def test_another_size_is_said(scorer, shifted_views):
    enlarged = dataclasses.replace(scorer, size=SizeRule(2, 16, shorter_side=96))
    result = measure_met3r(ClipPair(*shifted_views(48, 64, 1.5)), enlarged)
    assert any("frames of 48 x 64 px (height x width) were scored at 96 x 128" in note for note in result.notes)


def test_columns_say_unit_and_direction():
    assert [score.unit for score in SCORES[:2]] == ["cosine distance x 100"] * 2
    assert "mean of both directions" in SCORES[0].description
    assert "as seen from the source" in SCORES[1].description
