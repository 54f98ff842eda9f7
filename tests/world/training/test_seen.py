"""What errors of latents are once they are decoded."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as nnf

from stereozero.world.training.seen import seen_errors
from stereozero.world.training.vae import VaeSettings, build_vae

EVEN = torch.ones(2, 8, 4, 6)


class Enlarging:
    """Decodes latents of three channels to four times as many pixels across and down, as they are."""

    config = SimpleNamespace(scaling_factor=2.0)

    def decode(self, latents):
        return SimpleNamespace(sample=nnf.interpolate(latents, scale_factor=4))


@pytest.fixture
def still():
    """Latents of two clips that do not move."""
    return torch.randn(2, 3, 1, 4, 6, generator=torch.manual_seed(0)).repeat(1, 1, 8, 1, 1)


def errors_of(guess, true, weights=EVEN):
    errors = seen_errors(Enlarging(), guess, true, weights, np.random.default_rng(0))
    return {name: error.item() for name, error in errors.items()}


def test_a_perfect_guess_has_no_errors(still):
    assert errors_of(still, still) == {"pixels": 0, "edges": 0, "flicker": 0}


def test_what_is_wrong_in_every_frame_alike_does_not_flicker(still):
    assert errors_of(still + 0.5, still) == pytest.approx({"pixels": 0.25, "edges": 0, "flicker": 0}, abs=1e-6)
    every_other = (torch.arange(8) % 2)[:, None, None]
    wanted = {"pixels": 0.125, "edges": 0, "flicker": 0.25}
    assert errors_of(still + 0.5 * every_other, still) == pytest.approx(wanted, abs=1e-6)


def test_errors_count_as_their_cells_weigh(still):
    is_left = (torch.arange(6) < 3) * 1.0
    left, right = (errors_of(still + is_left, still, EVEN * where) for where in (is_left, 1 - is_left))
    assert left["pixels"] == pytest.approx(0.5)
    assert right["pixels"] == 0


def test_gradients_reach_two_successive_frames_of_each_clip_through_the_vae():
    vae = build_vae(VaeSettings(widths=(16, 16, 16), latent_channels=4)).requires_grad_(False)
    true = torch.randn(2, 4, 8, 4, 6, generator=torch.manual_seed(0))
    guess = (true + 0.1).requires_grad_(True)
    seen_errors(vae, guess, true, EVEN, np.random.default_rng(0))["pixels"].backward()
    reached = guess.grad.abs().sum(dim=(1, 3, 4)) > 0  # (B, F)
    for clip in reached:
        first, second = clip.nonzero().flatten().tolist()
        assert second == first + 1
