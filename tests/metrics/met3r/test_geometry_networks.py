"""DUSt3R and MASt3R against the official code's numbers."""

import pytest
import torch
from met3r_goldens import read_case, squashed
from parity import largest_error
from tiny_geometry import tiny_network

from stereozero.errors import InputError
from stereozero.metrics.met3r.croco_vit import patch_positions, rotate, rotation_of
from stereozero.metrics.met3r.dust3r import patch_grid, point_map_of
from stereozero.metrics.met3r.geometry import PointMap

CASES = ["sq", "wide", "tall", "tall_lo"]
TOLERANCE = 1e-4  # of the largest value


@pytest.fixture(scope="module")
def dust3r():
    return tiny_network("dust3r")


@pytest.fixture
def images():
    return squashed("input:images_net", (2, 2, 3, 64, 64))


def case_views(facts, case):
    inputs = facts["cases"][case]
    return squashed(*inputs["img1"]), squashed(*inputs["img2"])


def assert_equal(actual, expected, case, names):
    compared = 0
    for name, value in zip(names, actual, strict=True):
        key = f"{case}.{name}"
        if key in expected:  # arrays that repeat another case are not stored
            assert largest_error(value, expected[key]) < TOLERANCE * float(expected[key].abs().max()), key
            compared += 1
    assert compared


def assert_close(pair, expected):
    for view, wanted in zip(pair, expected, strict=True):
        for actual, values in zip(view, wanted, strict=True):
            assert not actual.requires_grad
            assert float((actual - values).abs().max()) < 1e-5 * float(values.abs().max())


@pytest.mark.parametrize("case", ["sq", "wide"])
def test_tokens_equal_the_reference(dust3r, case):
    facts, expected = read_case("dust3r_tiny")
    view1, view2 = case_views(facts, case)
    encoded = dust3r.encode(view1, view2)
    levels1, levels2 = dust3r.decode(*encoded, patch_grid(view1))
    tokens = (*encoded, levels1.half, levels1.decoded, levels2.decoded)
    assert_equal(tokens, expected, case, ["enc1", "enc2", "dec1_5", "dec1_last", "dec2_last"])


@pytest.mark.parametrize("name", ["dust3r", "mast3r"])
@pytest.mark.parametrize("case", CASES)
def test_points_equal_the_reference(name, case):
    facts, expected = read_case(f"{name}_tiny")
    if name == "mast3r":
        expected = read_case("dust3r_tiny")[1] | expected
    network = tiny_network(name, landscape_only=facts["cases"][case]["landscape_only"])
    first, second = network(*case_views(facts, case))
    names = ["view1.pts3d", "view1.conf", "view2.pts3d_in_other_view", "view2.conf"]
    assert all(f"{case}.{name}" in expected for name in names)
    assert_equal((*first, *second), expected, case, names)


@pytest.mark.parametrize("case", CASES)
def test_descriptors_equal_the_reference(case):
    facts, expected = read_case("mast3r_tiny")
    network = tiny_network("mast3r", landscape_only=facts["cases"][case]["landscape_only"])
    first, second = network.describe(*case_views(facts, case))
    step = 2 if case == "wide" else 4  # only these rows and columns of the first item are stored
    stored = [maps.descriptors[:1, ::step, ::step] for maps in (first, second)]
    assert_equal(stored, expected, case, ["view1.desc", "view2.desc"])
    assert_equal((first.confidence, second.confidence), expected, case, ["view1.desc_conf", "view2.desc_conf"])


def test_patch_positions_equal_the_reference():
    expected = read_case("dust3r_tiny")[1]["wide.pos1"]
    assert torch.equal(patch_positions(2, 3).expand(2, -1, -1), expected.long())


def test_attention_sees_only_how_far_patches_lie_apart():
    query, key = torch.randn(2, 1, 1, 6, 8, generator=torch.Generator().manual_seed(0))
    positions = patch_positions(2, 3)

    def scores(where):
        rotation = rotation_of(where, 8)
        return rotate(query, rotation) @ rotate(key, rotation).transpose(-1, -2)

    assert torch.allclose(scores(positions), scores(positions + torch.tensor([5, -2])), atol=1e-5)
    assert not torch.allclose(scores(positions), scores(positions.flip(1)), atol=1e-2)


def test_points_of_known_raw_values():
    raw = torch.tensor([[0.0, 3.0, 4.0, 0.0], [0.0, 0.0, 0.0, -100.0]]).T.reshape(1, 4, 1, 2)
    points, confidence = point_map_of(raw)
    length = torch.tensor(5.0).expm1()
    assert torch.allclose(
        points[0, 0], torch.stack([torch.stack([0 * length, 0.6 * length, 0.8 * length]), torch.zeros(3)])
    )
    assert torch.allclose(confidence[0, 0], torch.tensor([2.0, 1.0]))


@pytest.mark.parametrize("name", ["dust3r", "mast3r"])
def test_both_ways_are_two_calls_in_one(name, images):
    network = tiny_network(name)
    there, back = network.predict_both_ways(images)
    assert_close(there, network.predict_pair(images))
    assert_close(back, network.predict_pair(images.flip(1)))


def test_a_pair_does_not_depend_on_its_batch(dust3r, images):
    together, alone = dust3r.predict_pair(images), dust3r.predict_pair(images[1:])
    assert_close([PointMap(*(values[1:] for values in view)) for view in together], alone)


def test_the_views_have_decoders_of_their_own(dust3r, images):
    same = images[:, :1].expand(-1, 2, -1, -1, -1)
    first, second = dust3r.predict_pair(same)
    assert not torch.allclose(first.points, second.points, atol=1e-2)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 2, 3, 60, 64), "DUSt3R takes images whose sides are multiples of 16, not 64 x 60"),
        ((2, 3, 64, 64), r"pairs of RGB images, \(B, 2, 3, H, W\), not a tensor of shape \[2, 3, 64, 64\]"),
        ((1, 3, 3, 64, 64), "pairs of RGB images"),
    ],
)
def test_images_of_another_shape(dust3r, shape, message):
    with pytest.raises(InputError, match=message):
        dust3r.predict_pair(torch.zeros(shape))
