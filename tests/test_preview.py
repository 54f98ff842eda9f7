"""Previews: the colour scale is fixed and monotone; contact sheets have every frame in its place."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stereozero.errors import InputError
from stereozero.preview import GAP, HEADER_HEIGHT, LABEL_WIDTH, colour_map_disparity, compose_sheet, contact_sheet


def flat(level: int, frames: int = 4, height: int = 32, width: int = 64) -> np.ndarray:
    return np.full((frames, height, width, 3), level, np.uint8)


class TestColourMap:
    def test_brightness_rises_with_disparity(self) -> None:
        ramp = np.linspace(0, 1, 256, dtype=np.float32).reshape(1, 16, 16)
        coloured = colour_map_disparity(ramp)
        brightness = coloured.reshape(-1, 3) @ (0.2126, 0.7152, 0.0722)
        assert coloured.shape == (1, 16, 16, 3)
        assert coloured.dtype == np.uint8
        assert (np.diff(brightness) > -1.5).all()
        assert brightness[-1] - brightness[0] > 200

    def test_near_is_yellow_and_far_is_black(self) -> None:
        far, near = colour_map_disparity(np.array([0.0, 1.0]).reshape(2, 1, 1)).reshape(2, 3)
        assert far.max() < 10
        assert near[0] > 240  # red and green, less blue
        assert near[1] > 240
        assert near[2] < near[0]

    def test_scale_is_not_stretched(self) -> None:
        alone = colour_map_disparity(np.full((1, 2, 2), 0.3))
        with_others = colour_map_disparity(np.array([[[0.0, 0.3], [0.3, 1.0]]]))
        assert np.array_equal(alone[0, 0, 0], with_others[0, 0, 1])


class TestContactSheet:
    def cell(self, sheet: np.ndarray, row: int, column: int, width: int = 64, height: int = 32) -> np.ndarray:
        top, left = HEADER_HEIGHT + row * (height + GAP), LABEL_WIDTH + column * (width + GAP)
        return sheet[top : top + height, left : left + width]

    def test_rows_are_videos_and_columns_are_times(self) -> None:
        ramp = flat(0)
        ramp[:] = (np.arange(4) * 60)[:, None, None, None]
        sheet = compose_sheet({"dark to bright": ramp, "grey": flat(100)}, [0, 3], 64)
        assert (self.cell(sheet, 0, 0) == 0).all()
        assert (self.cell(sheet, 0, 1) == 180).all()
        assert (self.cell(sheet, 1, 0) == 100).all()

    def test_there_are_labels(self) -> None:
        sheet = compose_sheet({"a name": flat(0)}, [2], 64)
        assert sheet[:HEADER_HEIGHT, LABEL_WIDTH:].min() < 60
        assert sheet[HEADER_HEIGHT:, :LABEL_WIDTH].min() < 60

    def test_masks_and_grey_videos(self) -> None:
        sheet = compose_sheet({"mask": np.ones((1, 32, 64), bool), "grey": np.full((1, 32, 64), 70, np.uint8)}, [0], 64)
        assert (self.cell(sheet, 0, 0) == 255).all()
        assert (self.cell(sheet, 1, 0) == 70).all()

    def test_short_video_leaves_its_cell_empty(self) -> None:
        sheet = compose_sheet({"long": flat(0), "short": flat(0, frames=1)}, [0, 3], 64)
        assert len(np.unique(self.cell(sheet, 1, 1))) == 1
        assert self.cell(sheet, 1, 1).min() > 200

    def test_long_names_and_unlike_shapes_fit(self) -> None:
        videos = {"a-very-long-method-name-without-spaces-" * 3: flat(0), "tall": flat(9, 2, 128, 32)}
        assert compose_sheet(videos, [0, 1], 64).shape == (HEADER_HEIGHT + 32 + 256 + 2 * GAP, LABEL_WIDTH + 136, 3)

    def test_a_long_label_is_written_smaller_and_stays_in_its_row(self) -> None:
        caption = "a red shaded triangle drifts up and turns to the right in front of a slanted white wooden wall"
        rows = {caption: flat(0, height=96, width=64), "b": flat(0)}
        sheet = compose_sheet(rows, [0], 64)
        short = compose_sheet(dict(zip(("a", "b"), rows.values(), strict=True)), [0], 64)
        below = slice(HEADER_HEIGHT + 96, None)
        assert np.array_equal(sheet[below], short[below])
        assert (sheet[HEADER_HEIGHT : HEADER_HEIGHT + 96, :LABEL_WIDTH] < 60).any(axis=(1, 2)).sum() > 48

    def test_file_is_the_same_every_time(self, tmp_path: Path) -> None:
        for name in ("a.png", "b.png"):
            contact_sheet(tmp_path / name, {"x": flat(3)}, [0], 64)
        assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
        assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), compose_sheet({"x": flat(3)}, [0], 64))

    @pytest.mark.parametrize(("videos", "times"), [({}, [0]), ({"x": flat(0)}, []), ({"x": flat(0)}, [-1])])
    def test_nothing_to_show(self, tmp_path: Path, videos: dict, times: list[int]) -> None:
        with pytest.raises(InputError, match="at least one of both is right"):
            contact_sheet(tmp_path / "a.png", videos, times)
        assert list(tmp_path.iterdir()) == []
