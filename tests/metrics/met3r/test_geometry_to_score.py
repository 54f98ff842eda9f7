"""From images through DUSt3R and MASt3R to the score, against the released package's numbers."""

import pytest
import torch.nn.functional as nnf
from met3r_goldens import named_tensor, read_case, squashed
from parity import largest_error
from tiny_geometry import tiny_network

from stereozero.metrics.met3r.score import Met3r, RasterSettings
from stereozero.metrics.met3r.upsampling import Interpolation

FACTS, EXPECTED = read_case("met3r_score")
SHAPES = {"conv.weight": (6, 3, 16, 16), "conv.bias": (6,), "norm.weight": (6,), "norm.bias": (6,)}


def features(images):
    weights = [named_tensor(name, shape) for name, shape in SHAPES.items()]
    tokens = nnf.conv2d(images, *weights[:2], stride=16).movedim(1, -1)
    return nnf.layer_norm(tokens, (6,), *weights[2:]).movedim(-1, 1)


def score_of(case):
    facts, network = FACTS["cases"][case], tiny_network(case.partition("_")[0])
    return Met3r(
        network, features, Interpolation(facts["upsampler"]), RasterSettings(facts["img_size"], facts["radius"])
    )


def assert_equal(result, case):
    assert largest_error(result.score, EXPECTED[f"{case}.score"]) < 1e-4
    assert largest_error(result.errors, EXPECTED[f"{case}.score_map"]) < 1e-2  # points' last bits decide hits
    assert int((result.mask != EXPECTED[f"{case}.mask"].bool()).sum()) <= 4


@pytest.mark.parametrize("case", ["dust3r_bilinear", "mast3r_nearest"])
def test_one_way(case):
    images = squashed(*FACTS["cases"][case]["images"])
    assert_equal(score_of(case).one_way(images), case)


def test_both_ways():
    images = squashed(*FACTS["cases"]["dust3r_bilinear"]["images"])
    there, back = score_of("dust3r_bilinear").both_ways(images)
    assert_equal(there, "dust3r_bilinear")
    assert_equal(back, "dust3r_bilinear_swapped")
