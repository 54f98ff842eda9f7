import pytest
import torch

from stereozero.depth.depthcrafter import DepthCrafterSettings
from stereozero.depth.dissolve import PAPER_STEPS, check_dissolve_step, dissolve, encode_disparity
from stereozero.errors import InputError

ONE_WINDOW = DepthCrafterSettings(steps=1, guidance=1.0)
THREE_WINDOWS = DepthCrafterSettings(steps=1, guidance=1.0, window=4, overlap=2)


@pytest.fixture(scope="module")
def condition(golden_model):
    """Return the condition of 7 random frames."""
    video = torch.rand(7, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    return golden_model.encode(video, torch.zeros(7, 3, 32, 32), ONE_WINDOW)


@pytest.fixture(scope="module")
def latents():
    return torch.randn(7, 4, 4, 4, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("step", [None, 1, *PAPER_STEPS, 49, 50])
def test_allowed_steps(step):
    check_dissolve_step(step)


@pytest.mark.parametrize("step", [-1, 51, 1000, 10.0, 2.5, "10", True])
def test_other_steps(step):
    with pytest.raises(InputError, match=r"dissolve step: is .*; a whole number from 1 .* to 50 .*, or none, is right"):
        check_dissolve_step(step)


def test_step_zero_is_explained():
    with pytest.raises(InputError, match=r"is 0 \(0 has no noise level; for depth that is not dissolved, say none\)"):
        check_dissolve_step(0)


def test_none_changes_nothing(golden_model, latents, condition):
    assert torch.equal(dissolve(golden_model, latents, condition, None, ONE_WINDOW), latents)


def test_the_more_steps_the_less_of_the_estimate_is_left(golden_model, latents, condition):
    def influence(step):
        one, other = (
            dissolve(golden_model, given, condition, step, ONE_WINDOW) for given in (latents, latents.flip(0))
        )
        return float((one - other).std())

    left = [influence(step) for step in (5, 10, 30, 50)]
    assert left == sorted(left, reverse=True)
    assert left[-1] < 0.02 * left[0]


def test_several_windows(golden_model, latents, condition):
    whole = dissolve(golden_model, latents, condition, 20, THREE_WINDOWS)
    first = dissolve(golden_model, latents[:4], condition[slice(0, 4)], 20, THREE_WINDOWS)
    last = dissolve(golden_model, latents[4:], condition[slice(4, 7)], 20, THREE_WINDOWS)
    assert whole.shape == latents.shape
    torch.testing.assert_close(whole[:3], first[:3], rtol=0, atol=1e-5)  # the fourth frame is the second window's
    torch.testing.assert_close(whole[5:], last[1:], rtol=0, atol=1e-5)


def test_given_disparity_comes_back_in_the_scale_of_the_sampler(golden_model):
    disparity = torch.rand(2, 32, 32)
    encoded = encode_disparity(golden_model, disparity, ONE_WINDOW)
    pixels = (2 * disparity - 1)[:, None].expand(-1, 3, -1, -1)
    expected = golden_model.networks.vae.encode(pixels).latent_dist.mode() * 0.18215
    torch.testing.assert_close(encoded, expected)
