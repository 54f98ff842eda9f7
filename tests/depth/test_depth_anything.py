import pytest
import torch
from tiny_depth_models import tiny_depth_anything
from transformers import DPTImageProcessor

from stereozero.depth.depth_anything import DepthAnythingEstimator, network_size, prepare
from stereozero.depth.estimator import DepthKind
from stereozero.errors import InputError

PROCESSOR = DPTImageProcessor(  # as in the published models' preprocessor_config.json
    size={"height": 518, "width": 518},
    ensure_multiple_of=14,
    keep_aspect_ratio=True,
    resample=3,
    image_mean=[0.485, 0.456, 0.406],
    image_std=[0.229, 0.224, 0.225],
    do_rescale=False,
)


@pytest.fixture(scope="module")
def network():
    return tiny_depth_anything()


def random_video(frames: int, height: int, width: int) -> torch.Tensor:
    return torch.rand(frames, 3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("size", [(64, 96), (75, 333), (518, 518), (320, 512), (576, 1024)])
def test_frames_are_prepared_as_transformers_does(size):
    frames = random_video(1, *size)
    expected = PROCESSOR(images=list(frames), return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(prepare(frames, 14), expected, rtol=0, atol=1e-5)


def test_the_network_sees_multiples_of_the_patch():
    assert network_size(320, 512, 14) == (322, 518)
    assert network_size(576, 1024, 14) == (518, 924)
    assert network_size(10, 5000, 14) == (14, 518)  # one patch at least
    assert network_size(518, 5000, 14) == (518, 4998)  # the scale closer to 1 wins


@pytest.mark.parametrize("size", [(70, 98), (61, 97)])
def test_an_estimate(network, size):
    video = random_video(3, *size)
    estimate = DepthAnythingEstimator(network, frames_at_once=2).estimate(video)
    assert estimate.kind is DepthKind.INVERSE
    assert estimate.focal_length is None
    assert estimate.values.shape == (3, *size)
    assert estimate.values.dtype == torch.float32
    assert (estimate.values >= 0).all()
    assert len(estimate.values.unique()) > 256  # not 8-bit


def test_that_frames_are_resized_is_said(network, caplog):
    caplog.set_level("INFO")
    DepthAnythingEstimator(network).estimate(random_video(1, 61, 97))
    assert "video: 97x61 pixels are resized to 518x322 for Depth Anything, and back" in caplog.text


def test_frames_are_estimated_one_by_one(network):
    video = random_video(3, 42, 56)
    whole = DepthAnythingEstimator(network, frames_at_once=3).estimate(video).values
    single = DepthAnythingEstimator(network, frames_at_once=1).estimate(video).values
    torch.testing.assert_close(whole, single)
    torch.testing.assert_close(DepthAnythingEstimator(network).estimate(video[1:2]).values, whole[1:2])


def test_a_metric_variant_says_so():
    network = tiny_depth_anything(depth_estimation_type="metric", max_depth=20)
    estimate = DepthAnythingEstimator(network).estimate(random_video(1, 42, 56))
    assert estimate.kind is DepthKind.METRIC
    assert 0 < estimate.values.min() <= estimate.values.max() < 20


def test_a_saved_folder_gives_the_same(network, tmp_path):
    network.save_pretrained(tmp_path)
    video = random_video(2, 42, 56)
    loaded = DepthAnythingEstimator.from_pretrained(tmp_path)
    assert torch.equal(loaded.estimate(video).values, DepthAnythingEstimator(network).estimate(video).values)
    half = DepthAnythingEstimator.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert half.estimate(video).values.dtype == torch.float32


def test_a_folder_without_a_model(tmp_path):
    with pytest.raises(InputError, match=r"has no config\.json; the folder of a saved DepthAnything"):
        DepthAnythingEstimator.from_pretrained(tmp_path)


def test_a_constant_video_is_refused(network):
    with pytest.raises(InputError, match="all 2 frames are of one colour"):
        DepthAnythingEstimator(network).estimate(torch.zeros(2, 3, 42, 56))


def test_a_dark_video_is_estimated_with_a_warning(network, caplog):
    estimate = DepthAnythingEstimator(network).estimate(random_video(2, 42, 56) * 0.05)
    assert estimate.values.isfinite().all()
    assert "is very dark" in caplog.text
