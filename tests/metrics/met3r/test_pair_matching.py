"""Correspondences of a rectified pair: filled where nothing matches, hidden only by geometry."""

import numpy as np
import pytest
import torch

from stereozero.errors import InputError
from stereozero.metrics.met3r.matching import StereoMatching, fill_disparity, visible_pixels

NAN = np.nan


def pair_of(left, right) -> torch.Tensor:
    """Frames (F, H, W, 3) as the networks' pairs (F, 2, 3, H, W) in [-1, 1]."""
    views = torch.from_numpy(np.stack([left, right], axis=1)).permute(0, 1, 4, 2, 3)
    return views.float() / 127.5 - 1


@pytest.mark.parametrize("side", ["right", "left"])
def test_the_flow_is_the_disparity(shifted_views, side):
    left, right = shifted_views(64, 96, 3.0)
    images = pair_of(left, right) if side == "right" else pair_of(right, left)
    sign = -1 if side == "right" else 1
    there, back = StereoMatching(side).match_both_ways(images)
    inner = (0, slice(8, -8), slice(16, -16))
    assert there.flow[:, 0][inner].numpy() == pytest.approx(sign * 3.0, abs=0.2)
    assert back.flow[:, 0][inner].numpy() == pytest.approx(-sign * 3.0, abs=0.2)
    assert (there.flow[:, 1] == 0).all()
    assert there.visible[inner].all()
    edge = there.visible[0, 8:-8, :2] if side == "right" else there.visible[0, 8:-8, -2:]
    assert not edge.any()  # moved out of the frame


def test_views_that_do_not_match_are_compared_in_place():
    noise = np.random.default_rng(0).integers(0, 256, (2, 1, 32, 48, 3), dtype=np.uint8)
    match = StereoMatching().match(pair_of(*noise))
    assert match.visible.float().mean() > 0.9


def test_gaps_take_the_farther_neighbour_of_their_row():
    disparity = np.array(
        [[NAN, 1, NAN, NAN, 3, NAN], [NAN] * 6, [2, 2, NAN, 2, 2, NAN]],
        dtype=np.float32,
    )
    filled = fill_disparity(disparity)
    assert filled.tolist() == [[1, 1, 1, 1, 3, 3], [2] * 6, [2] * 6]
    assert (fill_disparity(np.full((2, 3), NAN, dtype=np.float32)) == 0).all()


@pytest.mark.parametrize(("side", "near", "hidden"), [("right", 4, [0, 1, 2]), ("left", 2, [7, 8])])
def test_what_is_nearer_hides_what_it_moves_onto(side, near, hidden):
    disparity = np.zeros((1, 10), dtype=np.float32)
    disparity[0, 4:7] = near
    seen = visible_pixels(disparity, side)
    assert np.flatnonzero(~seen).tolist() == hidden


def test_single_columns_that_stretching_leaves_open_do_not_show_what_is_behind():
    disparity = np.zeros((1, 10), dtype=np.float32)
    disparity[0, 5:9] = [5, 5, 4, 4]  # moves onto 0, 1, 3 and 4
    assert np.flatnonzero(~visible_pixels(disparity, "right")).tolist() == [0, 1, 2, 3, 4]


def test_pairs_of_another_shape_are_refused():
    with pytest.raises(InputError, match="stereo matching takes pairs of RGB images"):
        StereoMatching().match(torch.zeros(1, 3, 32, 32))
    with pytest.raises(InputError, match="of at least 16"):
        StereoMatching().match(torch.zeros(1, 2, 3, 8, 32))
