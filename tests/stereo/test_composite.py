"""Compositing: where generated content shows, and how it fades out."""

import pytest
import torch

from stereozero.stereo.composite import composite, soft_mask

FRAMES, HEIGHT, WIDTH = 2, 7, 11


@pytest.fixture
def hole() -> torch.Tensor:
    """One blank pixel in the middle of the first frame."""
    blank = torch.zeros(FRAMES, HEIGHT, WIDTH, dtype=torch.bool)
    blank[0, 3, 5] = True
    return blank


def test_the_mask_falls_linearly_in_chessboard_distance(hole):
    mask = soft_mask(hole, 3)
    row, column = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    distance = torch.maximum((row - 3).abs(), (column - 5).abs())
    torch.testing.assert_close(mask[0], (1 - distance / 4).clamp(min=0))
    assert (mask[1] == 0).all()


def test_without_a_seam_the_mask_is_the_hole(hole):
    assert torch.equal(soft_mask(hole, 0), hole.float())


@pytest.mark.parametrize("seam", [0, 1, 2])
def test_generated_in_the_hole_warped_beyond_the_seam(hole, seam):
    generated = torch.full((FRAMES, 3, HEIGHT, WIDTH), 0.9)
    warped = torch.full((FRAMES, 3, HEIGHT, WIDTH), 0.1)
    result = composite(generated, warped, hole, seam)
    assert (result[0, :, 3, 5] == 0.9).all()
    near = slice(5 - seam, 6 + seam)
    assert torch.equal(result[0, :, 3, : near.start], warped[0, :, 3, : near.start])
    assert torch.equal(result[0, :, 3, near.stop :], warped[0, :, 3, near.stop :])
    inside = result[0, :, 3, near]
    assert ((inside > 0.1) & (inside <= 0.9)).all()
    assert torch.equal(result[1], warped[1])


def test_a_hole_at_the_edge_fades_inwards_only():
    blank = torch.zeros(1, 4, 8, dtype=torch.bool)
    blank[..., 6:] = True
    mask = soft_mask(blank, 1)
    assert mask[0, 0].tolist() == [0, 0, 0, 0, 0, 0.5, 1, 1]
