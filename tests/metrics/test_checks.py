import numpy as np
import pytest

from stereozero.errors import InputError
from stereozero.metrics.checks import check_mask, check_side, check_true_disparity, check_video, check_videos

VIDEO = np.zeros((2, 8, 10, 3), np.uint8)


@pytest.mark.parametrize(
    ("video", "message"),
    [
        (VIDEO.astype(np.float32), "target: values are float32; .* uint8"),
        ([[1]], "target: values are list; .* NumPy array"),
        (VIDEO[0], r"target: shape is \(8, 10, 3\); a video is \(frames, height, width, 3\)"),
        (VIDEO[..., :1], r"target: shape is \(2, 8, 10, 1\)"),
        (VIDEO[:0], "target: the video has no frames"),
        (VIDEO[:, :4], "target: frames are 4 x 10 pixels .* at least 5"),
    ],
)
def test_what_is_not_a_video_is_named(video, message):
    with pytest.raises(InputError, match=message):
        check_video(video, "target", smallest_side=5)


def test_views_of_different_shape_are_named():
    with pytest.raises(InputError, match=r"target: shape \(1, 8, 10, 3\) differs from source's \(2, 8, 10, 3\)"):
        check_videos(source=VIDEO, target=VIDEO[:1])


def test_masks():
    check_mask(np.zeros((2, 8, 10), bool), VIDEO)
    with pytest.raises(InputError, match="mask: values are uint8; a mask is a boolean"):
        check_mask(np.zeros((2, 8, 10), np.uint8), VIDEO)
    with pytest.raises(InputError, match=r"mask: shape \(2, 10, 8\) differs"):
        check_mask(np.zeros((2, 10, 8), bool), VIDEO)


def test_true_disparities():
    check_true_disparity(np.full((2, 8, 10), np.nan), VIDEO)
    with pytest.raises(InputError, match="true disparity: values are uint8"):
        check_true_disparity(np.zeros((2, 8, 10), np.uint8), VIDEO)
    with pytest.raises(InputError, match="true disparity: shape"):
        check_true_disparity(np.zeros((1, 8, 10)), VIDEO)
    with pytest.raises(InputError, match="infinities; mark unknown pixels with NaN"):
        check_true_disparity(np.full((2, 8, 10), np.inf), VIDEO)


def test_sides():
    with pytest.raises(InputError, match="'Right' is unknown; it is 'left' or 'right'"):
        check_side("Right")
