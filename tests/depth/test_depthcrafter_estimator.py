import logging

import pytest
import torch

from stereozero.depth.depthcrafter import DepthCrafterSettings
from stereozero.depth.depthcrafter_estimator import DepthCrafterEstimator
from stereozero.depth.estimator import DepthKind
from stereozero.errors import InputError


@pytest.fixture(scope="module")
def estimator(golden_model):
    return DepthCrafterEstimator(golden_model, DepthCrafterSettings(steps=2, guidance=1.0))


@pytest.fixture(scope="module")
def video():
    """Return 3 frames of a size that the networks can't take: 30 x 50 instead of 32 x 48 pixels."""
    return torch.rand(3, 3, 30, 50, generator=torch.Generator().manual_seed(0))


def test_other_sizes_are_resized_and_back_and_said(estimator, video, caplog):
    with caplog.at_level(logging.INFO):
        estimate = estimator.estimate(video)
    assert estimate.values.shape == (3, 30, 50)
    assert estimate.values.dtype == torch.float32
    assert estimate.kind == DepthKind.INVERSE
    assert "50x30 pixels are resized to 48x32 for DepthCrafter, and back" in caplog.text


@pytest.mark.parametrize(("size", "expected"), [((30, 50), (32, 48)), ((3, 5), (16, 16)), ((64, 41), (64, 48))])
def test_network_size_is_the_nearest(estimator, size, expected):
    assert estimator.network_size(*size) == expected


def test_levels_share_one_estimation(estimator, video):
    latents = estimator.estimate_latents(video)
    plain, again = estimator.finish(video, latents, None), estimator.estimate(video)
    assert torch.equal(plain.values, again.values)
    dissolved = estimator.finish(video, latents, 20)
    assert not torch.allclose(dissolved.values, plain.values, atol=0.01)


def test_given_disparity_is_dissolved(estimator, video):
    near, far = (estimator.dissolve_disparity(video, torch.full((3, 30, 50), level), 1) for level in (1.0, 0.0))
    assert near.values.shape == (3, 30, 50)
    assert not torch.allclose(near.values, far.values, atol=0.01)


def test_given_disparity_of_another_size(estimator, video):
    with pytest.raises(InputError, match=r"disparity: has the shape \(3, 32, 48\); the video asks for \(3, 30, 50\)"):
        estimator.dissolve_disparity(video, torch.rand(3, 32, 48), 10)


def test_latents_of_another_video(estimator, video):
    latents = estimator.estimate_latents(video)
    with pytest.raises(InputError, match=r"latents: have the shape \(3, 4, 4, 6\); 2 frames of 4 x 6 cells belong to"):
        estimator.finish(video[:2], latents, None)


def test_a_wrong_dissolve_step_is_refused_before_any_work(estimator, video):
    with pytest.raises(InputError, match="dissolve step: is 51"):
        estimator.finish(video, torch.zeros(3, 4, 4, 6), 51)


def test_constant_video(estimator):
    with pytest.raises(InputError, match="of one colour"):
        estimator.estimate(torch.zeros(3, 3, 32, 32))


@pytest.mark.parametrize("frames", [1, 2])
def test_short_clips(estimator, video, frames):
    assert estimator.estimate(video[:frames]).values.shape == (frames, 30, 50)
