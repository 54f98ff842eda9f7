"""What objects looked like, moved from the first frame, and how much of that follows from features."""

import numpy as np
import pytest
import torch

from stereozero.world.training.looks import looks_of, unexplained

HEIGHT, WIDTH = 6, 8
GRID = np.stack(np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT)), axis=-1).astype(np.float32)


@pytest.fixture
def first():
    return torch.randn(2, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))


def test_what_moves_by_whole_cells_looks_as_it_did(first):
    moved = np.stack([GRID, GRID + np.array([2, 1])])  # (F, h, w, 2)
    looks = looks_of(first, [moved, moved]).unflatten(1, (HEIGHT, WIDTH)).unflatten(0, (2, 2))  # (B, F, h, w, C)
    wanted = first.movedim(1, -1)  # (B, h, w, C)
    assert torch.allclose(looks[:, 0], wanted, atol=1e-5)
    assert torch.allclose(looks[:, 1, :-1, :-2], wanted[:, 1:, 2:], atol=1e-5)
    assert torch.allclose(looks[:, 1, 0, -1], wanted[:, 1, -1], atol=1e-5), "beyond the border it is that at the border"


def test_some_positions_look_as_they_do_among_all(first):
    places = [GRID[None] + 0.4] * 2
    assert torch.equal(looks_of(first, places, slice(3, None, 4)), looks_of(first, places)[:, 3::4])


def features_and_more(count: int = 400) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return features (2, P, 5), what follows from them (2, P, 3), and even weights."""
    random = torch.Generator().manual_seed(1)
    features = torch.randn(2, count, 5, generator=random)
    wanted = features @ torch.randn(5, 3, generator=random) + torch.tensor([4.0, -2.0, 0.5])
    return features, wanted, torch.ones(2, count)


def test_what_follows_linearly_is_explained():
    features, wanted, weight = features_and_more()
    assert unexplained(features, wanted, weight).item() < 1e-5


def test_what_is_unrelated_is_not_explained():
    features, wanted, weight = features_and_more()
    other = torch.randn(wanted.shape, generator=torch.Generator().manual_seed(2))
    assert unexplained(features, other, weight).item() == pytest.approx(1, abs=0.03)
    noisy = wanted / wanted.flatten(0, 1).std(dim=0) + other
    assert unexplained(features, noisy, weight).item() == pytest.approx(0.5, abs=0.08)


def test_what_weighs_nothing_does_not_matter():
    features, wanted, weight = features_and_more()
    spoilt, weight[:, ::2] = wanted.clone(), 0
    spoilt[:, ::2] = 100
    assert unexplained(features, spoilt, weight).item() < 1e-5
    assert unexplained(features, wanted, torch.zeros_like(weight)).item() == 0


def test_the_gradient_counts_the_readout_too():
    features, wanted, weight = features_and_more(20)
    wanted = torch.randn(wanted.shape, generator=torch.Generator().manual_seed(3))
    features.requires_grad_(True)
    unexplained(features, wanted, weight).backward()
    step, slope = 3e-2, features.grad[1, 7, 2].item()
    changed = []
    for sign in (1, -1):
        other = features.detach().clone()
        other[1, 7, 2] += sign * step
        changed.append(unexplained(other, wanted, weight).item())
    assert slope == pytest.approx((changed[0] - changed[1]) / (2 * step), rel=0.05)
