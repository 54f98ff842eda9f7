"""The score against the released package's numbers: points, flow, distances, both directions, empty overlap."""

import dataclasses

import pytest
import torch
from met3r_goldens import jbu_state, named_tensor, named_weight, read_case, squashed
from parity import largest_error
from torch import nn

from stereozero.metrics.met3r.featup import JbuStack
from stereozero.metrics.met3r.geometry import PointMap
from stereozero.metrics.met3r.matching import FlowMatching
from stereozero.metrics.met3r.raft import sample_at_flow
from stereozero.metrics.met3r.score import (
    Met3r,
    RasterSettings,
    camera_focal,
    canonical_points,
    cosine_distance,
    mean_squared_error,
    peak_ratio,
    root_mean_squared_error,
)
from stereozero.metrics.met3r.upsampling import FeatUp, Interpolation

FACTS, EXPECTED = read_case("met3r_score")
DISTANCES = {
    "cosine": cosine_distance,
    "mse": mean_squared_error,
    "rmse": root_mean_squared_error,
    "psnr": peak_ratio,
}
POINTS = [
    name for name in FACTS["cases"] if f"{name}.pts1" in EXPECTED or name.startswith("geom_") or name == "dust3r_featup"
]


class ConvFeatures(nn.Module):
    """The goldens' stand-in for a feature network: patches of 16 px to 6 channels, and a norm over channels."""

    def __init__(self, with_norm: bool):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 6, 16, stride=16), nn.LayerNorm(6, eps=1e-5) if with_norm else None
        params = FACTS["feature_backbone"]["params"]
        own = {key: named_weight(key, params[key][0]) for key in self.state_dict()}
        self.load_state_dict(own)
        self.requires_grad_(False)

    def forward(self, images):
        features = self.conv(images)
        return features if self.norm is None else self.norm(features.movedim(1, -1)).movedim(-1, 1)


class GivenPoints:
    """Point maps that are known beforehand; the golden of a network stores what the network said."""

    size_factor = 1

    def __init__(self, pair):
        self.pair = pair

    def predict_pair(self, images):
        return self.pair

    def predict_both_ways(self, images):
        return self.pair, self.pair


class GivenFlow:
    size_factor, smallest_side = 1, 1

    def __init__(self, flow):
        self.flow = flow

    def predict_flow(self, images):
        return self.flow


def upsampler(name):
    if name != "featup":
        return Interpolation(name)
    stack = JbuStack(6)
    params = FACTS["feature_backbone"]["params"]
    stack.load_state_dict(jbu_state({k: v for k, v in params.items() if k.startswith(("up", "fixup"))}))
    return FeatUp(stack.requires_grad_(False).eval())


def stored(case, name):
    alias = FACTS["cases"][case].get("same_as", {}).get(name, f"{case}.{name}")
    return EXPECTED[alias]


def points_of(case):
    source = case
    if case.startswith("geom_") and case != "geom_nan_votes":
        source = "geom_bilinear"
    if case == "dust3r_featup":
        source = "dust3r_bilinear"
    return tuple(PointMap(EXPECTED[f"{source}.pts{view}"], EXPECTED[f"{source}.conf{view}"]) for view in (1, 2))


def images_of(case):
    facts = FACTS["cases"][case]
    return squashed(*facts.get("images", FACTS["cases"]["geom_bilinear"]["images"]))


def golden_score(case) -> Met3r:
    facts = FACTS["cases"][case]
    return Met3r(
        GivenPoints(points_of(case)),
        ConvFeatures(facts.get("use_norm", True)),
        upsampler(facts.get("upsampler", "bilinear")),
        RasterSettings(facts["img_size"], facts["radius"]),
        DISTANCES[facts.get("distance", "cosine")],
    )


@pytest.mark.parametrize("case", POINTS)
def test_points_are_scored_as_released(case):
    images = images_of(case)
    if case.endswith("_swapped"):
        images = images.flip(1)
    result = golden_score(case).one_way(images)
    assert torch.equal(result.mask, stored(case, "mask").bool())
    scale = 100 if case == "geom_psnr" else 1  # decibels of differences that are nearly 0
    assert largest_error(result.errors, stored(case, "score_map")) < 2e-4 * scale
    assert largest_error(result.score, stored(case, "score")) < 1e-5 * scale
    assert torch.allclose(result.overlap, stored(case, "mask").float().mean((1, 2)))


def test_camera_and_canonical_points_equal_the_released_ones():
    for case in ("geom_bilinear", "geom_nan_votes"):
        pair = points_of(case)
        assert largest_error(canonical_points(pair), EXPECTED[f"{case}.canon"]) < 1e-6
        assert largest_error(camera_focal(pair).repeat_interleave(2, 0), EXPECTED[f"{case}.focal_ndc"]) < 1e-5


def test_featup_gives_the_released_features():
    described = golden_score("geom_featup").describe(images_of("geom_featup"))
    assert largest_error(described.flatten(0, 1)[..., ::4, ::4], EXPECTED["geom_featup.hr_feat_s4"]) < 1e-5


def flow_score(distance, items=2) -> tuple[Met3r, torch.Tensor]:
    flow = 6 * named_tensor("input:flow", [2, 2, 32, 48])[:items]
    score = Met3r(FlowMatching(GivenFlow(flow)), ConvFeatures(True), Interpolation("bilinear"), distance=distance)
    return score, squashed(*FACTS["cases"]["raft_bilinear"]["images"])[:items]


@pytest.mark.parametrize(("case", "distance"), [("raft_bilinear", cosine_distance), ("raft_mse", mean_squared_error)])
def test_flow_is_scored_as_released_but_items_do_not_mix(case, distance):
    score, images = flow_score(distance)
    result = score.one_way(images)
    assert largest_error(result.errors, EXPECTED[f"{case}.score_map"]) < 2e-4
    assert result.mask.all()
    # The release gives every item the mean over the batch.
    assert result.score.mean().item() == pytest.approx(float(EXPECTED[f"{case}.score"][0, 0]), abs=1e-5)
    if case == "raft_bilinear":
        assert result.score[0].item() == pytest.approx(float(EXPECTED["raft_bilinear_batch1.score"][0, 0]), abs=1e-5)
        alone, first = flow_score(distance, items=1)
        assert alone.one_way(first).score.item() == pytest.approx(result.score[0].item(), abs=1e-6)


def test_view_2_is_sampled_as_released():
    _, images = flow_score(cosine_distance)
    moved, _ = sample_at_flow(images[:, 1], 6 * named_tensor("input:flow", [2, 2, 32, 48]))
    assert largest_error(moved, EXPECTED["raft_bilinear.warped_image"]) < 1e-5


def test_both_ways_are_the_two_directions():
    score, images = flow_score(cosine_distance)
    there, back = score.both_ways(images)
    assert torch.equal(there.score, score.one_way(images).score)
    assert torch.equal(back.score, score.one_way(images.flip(1)).score)


def test_an_empty_overlap_is_undefined_and_not_perfect():
    pair = points_of("geom_bilinear")
    behind = tuple(PointMap(view.points * torch.tensor([1.0, 1, -1]), view.confidence) for view in pair)
    score = dataclasses.replace(golden_score("geom_bilinear"), geometry=GivenPoints(behind))
    result = score.one_way(images_of("geom_bilinear"))
    assert result.score.isnan().all()
    assert result.overlap.tolist() == [0, 0]
