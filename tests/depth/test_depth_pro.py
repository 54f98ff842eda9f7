import math

import pytest
import torch
from tiny_depth_models import tiny_depth_pro
from transformers import DepthProImageProcessor

from stereozero.depth.convention import inverse_depth
from stereozero.depth.depth_pro import DepthProEstimator, focal_length_px
from stereozero.depth.estimator import DepthKind
from stereozero.errors import InputError

SIXTY_DEGREES = 0.5 / math.tan(math.radians(30))  # focal length in widths


@pytest.fixture(scope="module")
def network():
    return tiny_depth_pro()


def random_video(frames: int, height: int, width: int) -> torch.Tensor:
    return torch.rand(frames, 3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("size", [(128, 128), (61, 97)])
def test_an_estimate(network, size):
    estimate = DepthProEstimator(network, frames_at_once=2).estimate(random_video(3, *size))
    assert estimate.kind is DepthKind.METRIC
    assert estimate.values.shape == (3, *size)
    assert estimate.values.dtype == torch.float32
    assert (estimate.values > 0).all()
    torch.testing.assert_close(estimate.focal_length, torch.full((3,), SIXTY_DEGREES * size[1]))


def test_that_frames_are_resized_is_said_and_only_then(network, caplog):
    caplog.set_level("INFO")
    DepthProEstimator(network).estimate(random_video(1, 128, 128))
    assert "resized" not in caplog.text
    DepthProEstimator(network).estimate(random_video(1, 61, 97))
    assert "video: 97x61 pixels are resized to 128x128 for Depth Pro, and back" in caplog.text


def test_it_is_what_transformers_makes_of_the_network(network):
    video = random_video(2, 320, 400)
    processor = DepthProImageProcessor(size={"height": 128, "width": 128}, do_rescale=False)
    with torch.no_grad():
        output = network(processor(images=list(video), return_tensors="pt")["pixel_values"])
    expected = processor.post_process_depth_estimation(output, target_sizes=[(320, 400)] * 2)
    estimate = DepthProEstimator(network).estimate(video)
    for depth, focal_length, frame in zip(estimate.values, estimate.focal_length, expected, strict=True):
        torch.testing.assert_close(depth, frame["predicted_depth"], rtol=1e-4, atol=0)
        torch.testing.assert_close(focal_length, frame["focal_length"])


def test_the_focal_length_cancels_in_the_disparity():
    video = random_video(2, 64, 96)
    wide, narrow = (DepthProEstimator(tiny_depth_pro(degrees)).estimate(video) for degrees in (90.0, 30.0))
    assert (narrow.values / wide.values).mean() == pytest.approx(math.tan(math.pi / 4) / math.tan(math.pi / 12))
    torch.testing.assert_close(inverse_depth(narrow), inverse_depth(wide))


def test_depth_is_at_most_ten_kilometres():
    network = tiny_depth_pro()
    torch.nn.init.constant_(network.head.layers[-2].bias, -1e6)  # canonical inverse depth 0: infinitely far
    assert (DepthProEstimator(network).estimate(random_video(1, 64, 96)).values == 1e4).all()


def test_focal_length():
    expected = torch.tensor([50.0, SIXTY_DEGREES * 100])
    torch.testing.assert_close(focal_length_px(torch.tensor([90.0, 60.0]), 100), expected)


@pytest.mark.parametrize("degrees", [-30.0, 0.0, 180.0, math.nan])
def test_an_impossible_field_of_view(degrees):
    with pytest.raises(InputError, match=r"field of view of .* degrees in frame 1, which no camera has"):
        focal_length_px(torch.tensor([60.0, degrees]), 100)


def test_a_network_without_field_of_view():
    with pytest.raises(InputError, match="estimates no field of view"):
        DepthProEstimator(tiny_depth_pro(None))


def test_a_saved_folder_gives_the_same(network, tmp_path):
    network.save_pretrained(tmp_path)
    video = random_video(1, 64, 96)
    loaded = DepthProEstimator.from_pretrained(tmp_path).estimate(video)
    assert torch.equal(loaded.values, DepthProEstimator(network).estimate(video).values)


def test_a_constant_video_is_refused(network):
    with pytest.raises(InputError, match="all 2 frames are of one colour"):
        DepthProEstimator(network).estimate(torch.full((2, 3, 64, 96), 0.5))
