import numpy as np
import pytest

from stereozero.metrics.matching import match_views
from stereozero.metrics.window import edge_depth, measure_window


def test_a_scene_in_front_violates_both_edges(shifted_views):
    left, right = shifted_views(64, 96, 2.88)
    clip = measure_window(left, right).clip
    assert clip["window_rows"] > 95
    assert clip["window_frames"] == 100
    assert clip["window_depth"] == pytest.approx(3.0, abs=0.2)
    assert clip["window_measured"] > 60


@pytest.mark.parametrize("pixels", [0.0, -2.88])
def test_at_or_behind_the_screen_nothing_is_violated(shifted_views, pixels):
    left, right = shifted_views(64, 96, pixels)
    clip = measure_window(left, right).clip
    assert clip["window_rows"] < 3
    assert clip["window_frames"] == 0


def test_convergence_pushes_the_scene_back(shifted_views):
    left, right = shifted_views(64, 96, 2.88)
    assert measure_window(left, right, convergence=2.5).clip["window_depth"] == pytest.approx(0.5, abs=0.2)
    behind = measure_window(left, right, convergence=3.5).clip
    assert behind["window_rows"] < 3
    assert measure_window(left, left, convergence=-1.0).clip["window_rows"] == 100


def test_only_what_the_edge_cuts_counts(shifted_views):
    """An object in front of the screen inside the frame is fine; at the left edge it is not."""
    background, _ = shifted_views(96, 160, 0.0)
    near, _ = shifted_views(96, 160, 0.0, seed=5)
    for column, rows in ((70, 0.0), (6, 40 / (2 * 96))):
        left, right = background.copy(), background.copy()
        left[:, 30:70, column : column + 30] = near[:, 30:70, column : column + 30]
        right[:, 30:70, column - 6 : column + 24] = near[:, 30:70, column : column + 30]
        result = measure_window(left, right).clip
        assert result["window_rows"] == pytest.approx(100 * rows, abs=4), column


def test_left_target(shifted_views):
    left, right = shifted_views(64, 96, 2.88)
    assert measure_window(right, left, "left").clip["window_rows"] > 95


def test_edge_depth_lists_left_rows_then_right_rows(shifted_views):
    left, right = shifted_views(64, 96, 2.88)
    right = right.copy()
    right[:, :, :12] = 128
    depth = edge_depth(match_views(left, right))
    assert depth.shape == (1, 128)
    assert np.isnan(depth[0, :64]).mean() > 0.9
    assert np.nanmedian(depth[0, 64:]) == pytest.approx(3.0, abs=0.2)


def test_unmeasurable_edges_are_undefined_with_a_reason():
    black = np.zeros((1, 64, 96, 3), np.uint8)
    result = measure_window(black, black)
    assert result.clip == {
        "window_rows": None,
        "window_depth": None,
        "window_measured": 0.0,
        "window_frames": None,
    }
    assert "no edge row has enough stereo matches" in result.notes[0]


def test_share_of_frames(shifted_views):
    left, right = shifted_views(64, 96, 2.88)
    clip = measure_window(np.concatenate([left] * 4), np.concatenate([left, right, left, left])).clip
    assert clip["window_frames"] == 25
