"""The picture that compares methods: what stands in which row and column, and at which value a bar ends."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from stereozero.comparison import ClipFrames, Detail, busiest_detail, compose_comparison, draw_comparison

SUMMARY = pd.DataFrame(
    {
        "method": ["a", "b"],
        "clips": [3, 1],
        "psnr": [20.0, 30.0],
        "psnr_low": [18.0, np.nan],
        "psnr_high": [23.0, np.nan],
        "psnr_clips": [3, 1],
    }
)


def frame(level: int) -> np.ndarray:
    picture = np.full((12, 18, 3), level, np.uint8)
    picture[6:10, 9:15] = 255
    return picture


def clip(detail: Detail | None = None, **levels: int) -> ClipFrames:
    return ClipFrames("clip, frame 2", {name: frame(level) for name, level in levels.items()}, detail)


def pictures(figure) -> list[list[np.ndarray | None]]:
    """Return what is shown, row by row."""
    upper = figure.subfigs[0]
    columns = upper.axes[0].get_gridspec().ncols
    shown = [np.asarray(axes.images[0].get_array()) if axes.images else None for axes in upper.axes]
    return [shown[start : start + columns] for start in range(0, len(shown), columns)]


class TestDetail:
    def test_it_holds_most_of_the_mask(self):
        mask = np.zeros((30, 60), bool)
        mask[2:5, 3:6] = True
        mask[18:24, 40:50] = True
        detail = busiest_detail(mask)
        assert (detail.height, detail.width) == (10, 20)
        assert detail.cut(mask).sum() == 60

    def test_it_stays_inside_the_frame(self):
        mask = np.zeros((30, 60), bool)
        mask[-1, -1] = True
        assert busiest_detail(mask) == Detail(20, 40, 10, 20)

    def test_nothing_masked_has_no_detail(self):
        assert busiest_detail(np.zeros((30, 60), bool)) is None


class TestFrames:
    def test_columns_are_views_and_rows_are_frames_and_details(self):
        detail = Detail(6, 9, 4, 6)
        figure = compose_comparison([clip(detail, source=10, a=20), clip(source=30, a=40)], SUMMARY, ["psnr"])
        first, enlarged, second = pictures(figure)
        assert [axes.get_title() for axes in figure.subfigs[0].axes[:2]] == ["source", "a"]
        assert np.array_equal(first[1], frame(20))
        assert enlarged[1].shape == (4, 6, 3)
        assert (enlarged[1] == 255).all()
        assert np.array_equal(second[0], frame(30))
        assert figure.subfigs[0].axes[0].patches  # marks where the detail lies
        assert not figure.subfigs[0].axes[4].patches

    def test_what_a_clip_lacks_is_an_empty_cell(self):
        figure = compose_comparison([clip(source=1, a=2), clip(source=3, a=4, truth=5)], SUMMARY, ["psnr"])
        assert pictures(figure)[0][2] is None
        assert np.array_equal(pictures(figure)[1][2], frame(5))

    def test_without_clips_there_are_bars(self):
        assert len(compose_comparison([], SUMMARY, ["psnr"]).axes[0].patches) == 2

    def test_the_file_is_the_same_every_time(self, tmp_path):
        for name in ("one.png", "two.png"):
            draw_comparison(tmp_path / name, [clip(source=1, a=2)], SUMMARY, ["psnr"])
        assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
        assert Image.open(tmp_path / "one.png").width == 1200


class TestBars:
    @pytest.fixture
    def axes(self):
        return compose_comparison([clip(source=1)], SUMMARY, ["psnr"]).subfigs[1].axes[0]

    def test_a_bar_ends_at_the_mean_and_a_line_spans_the_interval(self, axes):
        assert [bar.get_width() for bar in axes.patches] == [20, 30]
        assert axes.collections[0].get_segments()[0].tolist() == [[18, 0], [23, 0]]

    def test_methods_scores_and_means_are_written(self, axes):
        assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
        assert axes.get_title() == "psnr ↑ [dB]"
        assert [text.get_text() for text in axes.texts] == ["20.00", "30.00"]

    def test_a_method_without_a_value_has_a_dash(self):
        unknown = SUMMARY.assign(psnr=[20.0, np.nan])
        axes = compose_comparison([clip(source=1)], unknown, ["psnr"]).subfigs[1].axes[0]
        assert [text.get_text() for text in axes.texts] == ["20.00", "–"]
