"""Pictures that are shifted, turned and scaled, and latents alike."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as nnf

from stereozero.world.training.data import step_rng
from stereozero.world.training.moves import draw_moves, is_inside, moved, similarity

SIZE = (32, 48)


def picture_of_a_block():
    picture = torch.zeros(1, 1, *SIZE)
    picture[..., 14:18, 30:34] = 1  # its middle is 8 px to the right of the picture's
    return picture


def one_move(angle=0.0, scale=1.0, shift=(0.0, 0.0)):
    return similarity(np.array([angle]), np.array([scale]), np.array([shift]), SIZE)


def middle(picture):
    """Rows below and columns right of the picture's middle, weighted by what is seen there."""
    rows, columns = torch.meshgrid(*(torch.arange(side) - (side - 1) / 2 for side in SIZE), indexing="ij")
    weight = picture[0, 0] / picture.sum()
    return [round(float((weight * places).sum()), 2) for places in (rows, columns)]


def test_shifts_are_to_the_right_and_down():
    picture = picture_of_a_block()
    assert torch.allclose(moved(picture, one_move(shift=(5, -3))), picture.roll((-3, 5), (2, 3)), atol=1e-5)


def test_turns_are_clockwise_and_about_the_middle():
    assert middle(picture_of_a_block()) == [0, 8]
    assert middle(moved(picture_of_a_block(), one_move(angle=math.pi / 2))) == [8, 0]


def test_scales_above_one_make_things_larger():
    small, large = picture_of_a_block(), moved(picture_of_a_block(), one_move(scale=1.5))
    assert middle(large) == [0, 12]
    assert float(large.sum() / small.sum()) == pytest.approx(1.5**2, rel=0.01)


def test_one_move_fits_pictures_and_latents_of_them():
    torch.manual_seed(0)
    smooth = nnf.interpolate(torch.randn(1, 3, 4, 6), size=SIZE, mode="bicubic", align_corners=True)
    move = one_move(0.4, 1.2, (1.5, 0.5))
    inside = is_inside(move, (8, 12), margin=1)
    of_moved, of_latents = nnf.avg_pool2d(moved(smooth, move), 4), moved(nnf.avg_pool2d(smooth, 4), move)
    unmoved = nnf.avg_pool2d(smooth, 4)
    wrong, still = (((of_moved - each).abs() * inside).max() for each in (of_latents, unmoved))
    assert wrong < 0.1 * still
    assert inside.float().mean() > 0.5


def test_what_comes_in_from_beyond_the_border_is_not_inside():
    inside = is_inside(one_move(shift=(5, 0)), SIZE, margin=2)[0, 0]
    assert not inside[:, :7].any()
    assert inside[2:-2, 7:].all()
    assert not inside[:2].any()


def test_drawn_moves_differ_and_are_drawn_again_alike():
    moves = draw_moves(step_rng(0, 0), 64, SIZE, cell=4)
    assert moves.shape == (64, 2, 3)
    assert torch.equal(moves, draw_moves(step_rng(0, 0), 64, SIZE, cell=4))
    grown = torch.linalg.det(moves[:, :, :2]).rsqrt().log()
    assert grown.abs().max() <= 0.3 < grown.max() - grown.min()
