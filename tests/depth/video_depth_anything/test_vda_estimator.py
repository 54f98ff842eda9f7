import cv2
import numpy as np
import pytest
import torch
from tiny_vda import tiny_network

from stereozero.depth.estimator import DepthKind
from stereozero.depth.video_depth_anything.estimator import VideoDepthAnythingEstimator, network_size, prepare
from stereozero.depth.video_depth_anything.stitching import window_frames
from stereozero.errors import InputError


@pytest.fixture(scope="module")
def estimator():
    return VideoDepthAnythingEstimator(tiny_network(), short_side=42)


def random_video(frames: int, height: int = 42, width: int = 56) -> torch.Tensor:
    return torch.rand(frames, 3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("video", "network"),
    [
        ((518, 518), (518, 518)),
        ((320, 512), (518, 826)),  # 828.8 is nearest to 59 patches
        ((576, 1024), (518, 924)),  # 16:9 keeps the full short side
        ((512, 320), (826, 518)),
        ((300, 900), (308, 924)),  # 3:1: short side 306 px, to the nearest patch
        ((1, 5000), (14, 70000)),
    ],
)
def test_network_size(video, network):
    assert network_size(*video) == network


def test_frames_are_prepared_as_the_official_code_does():
    video = random_video(2, 50, 75)
    prepared = prepare(video, 98, 140)
    for frame, result in zip(video, prepared, strict=True):
        resized = cv2.resize(frame.movedim(0, -1).numpy(), (140, 98), interpolation=cv2.INTER_CUBIC)
        expected = (resized - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
        np.testing.assert_allclose(result.movedim(0, -1).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("frames", [1, 2, 16, 22])
def test_a_clip_of_one_window_is_one_call_of_the_network(estimator, frames):
    video = random_video(frames)
    estimate = estimator.estimate(video)
    assert estimate.kind is DepthKind.INVERSE
    assert estimate.focal_length is None
    padded = torch.cat([video, video[-1:].expand(32 - frames, -1, -1, -1)])
    assert torch.equal(estimate.values, estimator.network(prepare(padded, 42, 56))[:frames])
    assert estimate.values.std() > 0


def test_a_long_clip_begins_as_its_first_window(estimator):
    video = random_video(40)
    values = estimator.estimate(video).values
    assert values.shape == (40, 42, 56)
    first = estimator.network(prepare(video[window_frames(40)[0]], 42, 56))
    assert torch.equal(values[:24], first[:24])  # later ones are cross-faded
    assert not torch.equal(values[24:32], first[24:32])


def test_it_is_deterministic(estimator):
    video = random_video(25)
    assert torch.equal(estimator.estimate(video).values, estimator.estimate(video).values)


@pytest.mark.parametrize("size", [(45, 61), (120, 40), (16, 16)])
def test_sizes_that_are_no_multiples_of_14(estimator, size, caplog):
    caplog.set_level("INFO")
    values = estimator.estimate(random_video(2, *size)).values
    assert values.shape == (2, *size)
    assert values.dtype == torch.float32
    assert values.isfinite().all()
    height, width = network_size(*size, 42)
    assert f"video: {size[1]}x{size[0]} pixels are resized to {width}x{height}" in caplog.text


def test_half_precision_is_close(estimator):
    video = random_video(3)
    half = VideoDepthAnythingEstimator(estimator.network, torch.bfloat16, short_side=42).estimate(video).values
    full = estimator.estimate(video).values
    assert half.dtype == torch.float32
    assert 0 < (half - full).abs().mean() < 0.1 * full.std()


def test_a_constant_video_is_refused(estimator):
    with pytest.raises(InputError, match="all 2 frames are of one colour"):
        estimator.estimate(torch.full((2, 3, 42, 56), 0.25))


def test_a_dark_video_is_warned_of(estimator, caplog):
    assert estimator.estimate(random_video(2) * 0.05).values.isfinite().all()
    assert "is very dark" in caplog.text


@pytest.mark.parametrize("short_side", [0, 500, -14])
def test_a_refused_short_side(short_side):
    with pytest.raises(InputError, match=rf"short side is {short_side}; a multiple of 14 px is right"):
        VideoDepthAnythingEstimator(tiny_network(), short_side=short_side)
