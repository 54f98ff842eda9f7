"""The adaptive dissolve level: which step is chosen, and how two depths agree."""

import pytest
import torch
from torch import Tensor

from stereozero.depth.adaptive import agreement, choose_level
from stereozero.depth.dissolve import PAPER_STEPS
from stereozero.depth.estimator import DepthEstimate, DepthKind


@pytest.fixture
def levels():
    """Return a function that makes levels of one random depth: step -> how much of the depth is replaced by noise."""
    depth, noise = torch.rand(2, 2, 16, 24, generator=torch.Generator().manual_seed(0))

    def make(replaced: dict[int, float]):
        tried: list[int | None] = []

        def level(step: int | None) -> DepthEstimate:
            tried.append(step)
            share = replaced[step] if step else 0.0
            return DepthEstimate((1 - share) * depth + share * noise, DepthKind.INVERSE)

        level.tried = tried
        return level

    return make


def test_the_last_level_that_keeps_the_layout_is_chosen_and_no_further_one_is_made(levels):
    level = levels({10: 0.0, 20: 0.1, 30: 0.9, 40: 0.0, 45: 0.0})
    chosen = choose_level(level, 0.9)
    assert chosen.step == 20
    assert torch.equal(chosen.estimate.values, level(20).values)
    assert level.tried[:-1] == [None, 10, 20, 30]
    assert list(chosen.agreements) == [10, 20, 30]
    assert chosen.agreements[10] == pytest.approx(1)
    assert chosen.agreements[20] > 0.9 > chosen.agreements[30]


def test_without_any_agreement_nothing_is_dissolved(levels):
    level = levels(dict.fromkeys(PAPER_STEPS, 1.0))
    chosen = choose_level(level, 0.9)
    assert chosen.step is None
    assert torch.equal(chosen.estimate.values, level(None).values)
    assert list(chosen.agreements) == [10]


def test_a_scene_that_every_level_keeps_is_dissolved_most(levels):
    assert choose_level(levels(dict.fromkeys(PAPER_STEPS, 0.01)), 0.9).step == 45


def test_agreement_needs_neither_scale_nor_shift():
    depth = torch.rand(3, 8, 8)
    assert agreement(depth, 5 * depth + 2) == pytest.approx(1)
    assert agreement(depth, torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(1))) < 0.2


def test_agreement_is_the_share_of_explained_variance():
    one: Tensor = torch.tensor([0.0, 1.0, 2.0, 3.0]).view(1, 2, 2)
    other = torch.tensor([0.0, 1.0, 3.0, 2.0]).view(1, 2, 2)
    assert agreement(one, other) == pytest.approx(0.8**2)


@pytest.mark.parametrize("other", [-1.0, 0.0])
def test_opposite_and_flat_depths_do_not_agree(other):
    depth = torch.rand(2, 8, 8)
    assert agreement(depth, other * depth) == 0
