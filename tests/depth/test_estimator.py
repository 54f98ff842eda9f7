import logging

import pytest
import torch

from stereozero.depth.estimator import check_video, resize_frames, resize_maps
from stereozero.errors import InputError


def test_a_single_frame_is_a_video():
    check_video(torch.rand(1, 3, 8, 8))


@pytest.mark.parametrize(
    ("video", "message"),
    [
        (torch.rand(4, 8, 8, 3), r"shape \(4, 8, 8, 3\); \(frames, 3, height, width\) is right"),
        (torch.rand(0, 3, 8, 8), "shape"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), "holds torch.uint8; .* divide 8 bits by 255"),
        (torch.rand(2, 3, 8, 8) * 2 - 1, "has values from -"),
        (torch.full((2, 3, 8, 8), torch.nan), "has values from nan to nan"),
        (torch.full((5, 3, 8, 8), 0.25), r"all 5 frames are of one colour \(0.250, 0.250, 0.250\)"),
        (torch.zeros(2, 3, 8, 8), "there is no depth to estimate; leave this clip out, or give its disparity"),
    ],
)
def test_what_is_no_video(video, message):
    with pytest.raises(InputError, match=message):
        check_video(video)


def test_a_dark_video_is_warned_of(caplog):
    with caplog.at_level(logging.WARNING):
        check_video(torch.rand(2, 3, 8, 8) * 0.05)
    assert "is very dark (no value above 0.0" in caplog.text


def test_a_video_that_differs_only_in_time_is_no_constant_one():
    check_video(torch.linspace(0, 1, 4).view(4, 1, 1, 1).expand(4, 3, 8, 8))


def test_resizing_averages_where_it_shrinks():
    stripes = torch.tensor([0.0, 1.0]).repeat(8).expand(1, 8, 16)
    inside = resize_maps(stripes, 4, 4)[..., 1:-1]
    torch.testing.assert_close(inside, torch.full_like(inside, 0.5), atol=0.02, rtol=0)


def test_resizing_to_the_same_size_changes_nothing():
    video = torch.rand(2, 3, 5, 7)
    assert resize_frames(video, 5, 7) is video
    assert resize_frames(video, 10, 14).shape == (2, 3, 10, 14)
