"""Codes of places, and layers that read them from features."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from stereozero.world import sample_scene
from stereozero.world.training.correspondence import find_origins
from stereozero.world.training.places import place_code, place_targets

HEIGHT, WIDTH = 16, 24
GRID = np.stack(np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT)), axis=-1).astype(float)


@pytest.fixture
def origins():
    return find_origins(sample_scene("simple", seed=2), 15, [0, 7, 14], HEIGHT, WIDTH)


def test_places_of_the_same_picture_have_codes_of_their_own():
    codes = place_code(GRID, WIDTH).reshape(-1, 20)
    apart = np.linalg.norm(codes[:, None] - codes[None], axis=-1)
    np.fill_diagonal(apart, np.inf)
    assert apart.min() > 0.5


def test_coarse_grids_leave_out_short_waves():
    coarse = place_code(np.array([[1.0, 0.5]]), 6)  # (1, 12): a coarse cell is four fine ones wide
    fine = place_code(np.array([[5.5, 3.5]]), 24)
    assert coarse.shape == (1, 12)
    assert np.allclose(coarse, fine[:, :12])


def test_origins_of_the_first_frame_are_its_own_places(origins):
    targets = place_targets([origins, origins])
    assert targets.origin.shape == (6, HEIGHT, WIDTH, 20)
    assert torch.allclose(targets.origin[3], targets.here, atol=1e-3)
    assert targets.weight.sum().item() == pytest.approx(1)


def test_what_the_first_frame_does_not_show_has_no_weight(origins):
    nowhere = replace(origins, known=np.zeros_like(origins.known))
    assert place_targets([nowhere]).weight.sum() == 0
