import pytest
import torch

from stereozero.depth.windows import join, rotate_noise, windows


def bounds(frames, window, overlap):
    return [(part.start, part.stop) for part in windows(frames, window, overlap)]


@pytest.mark.parametrize(
    ("frames", "window", "overlap", "expected"),
    [
        (6, 110, 25, [(0, 6)]),
        (4, 4, 2, [(0, 4)]),
        (6, 4, 2, [(0, 4), (2, 6)]),
        (7, 4, 2, [(0, 4), (2, 6), (4, 7)]),
        (5, 2, 0, [(0, 2), (2, 4), (4, 5)]),
        (3, 1, 0, [(0, 1), (1, 2), (2, 3)]),
        (4, 3, 2, [(0, 3), (1, 4)]),
    ],
)
def test_windows_cover_the_clip(frames, window, overlap, expected):
    assert bounds(frames, window, overlap) == expected


def test_cross_fade_goes_from_the_old_frames_to_the_new_ones():
    joined = join(torch.zeros(4, 1), torch.ones(4, 1), 3)
    assert joined.flatten().tolist() == [0, 0, 0.5, 1, 1]


def test_one_shared_frame_is_the_old_one():
    assert join(torch.zeros(2), torch.ones(2), 1).tolist() == [0, 0, 1]


def test_join_without_overlap_appends():
    assert join(torch.zeros(0), torch.ones(2), 0).tolist() == [1, 1]


def test_noise_of_the_shared_frames_moves_to_the_front():
    assert rotate_noise(torch.arange(5), 2).tolist() == [3, 4, 0, 1, 2]
    assert rotate_noise(torch.arange(5), 0).tolist() == [0, 1, 2, 3, 4]
