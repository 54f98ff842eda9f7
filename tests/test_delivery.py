"""Delivered files: which eye lands where, names, metadata, equal bytes, and the geometry of the convergence shift."""

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from stereozero import video
from stereozero.delivery import LAYOUTS, converge, convergence_shift, deliver, delivery_facts, file_name
from stereozero.errors import InputError, StageError

HEIGHT, WIDTH, FRAMES = 64, 96, 3
RANGE = {"disparity_p01": 0.0, "disparity_p99": 3.0}  # percent of width
RED, BLUE = (200, 40, 40), (40, 40, 200)


def flat(colour: tuple[int, int, int]) -> np.ndarray:
    return np.full((FRAMES, HEIGHT, WIDTH, 3), colour, np.uint8)


def stripe_at(position: float, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Dark frames with one soft bright vertical line around the column ``position``."""
    profile = 255 * np.exp(-(((np.arange(width) - position) / 2.0) ** 2))
    return np.broadcast_to(profile[None, None, :, None], (FRAMES, height, width, 3)).round().astype(np.uint8)


def centre(frames: np.ndarray) -> float:
    profile = frames.astype(float).mean((0, 1, 3))
    return float((profile * np.arange(len(profile))).sum() / profile.sum())


def made(tmp_path: Path, left: np.ndarray, right: np.ndarray, name: str) -> np.ndarray:
    deliver(tmp_path / "out.mp4", left, right, 10, name)
    result = video.read_video(tmp_path / "out.mp4")
    assert result.fps == 10
    assert len(result.frames) == FRAMES
    return result.frames.astype(int)


def near(part: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool(np.abs(part - np.array(colour)).max() <= 6)


class TestLayouts:
    @pytest.mark.parametrize("name", ["full-sbs", "half-sbs"])
    def test_left_eye_is_on_the_left(self, tmp_path: Path, name: str) -> None:
        frames = made(tmp_path, flat(RED), flat(BLUE), name)
        assert frames.shape[1:3] == (HEIGHT, WIDTH * 2 if name == "full-sbs" else WIDTH)
        middle = frames.shape[2] // 2
        assert near(frames[:, :, : middle - 2], RED)
        assert near(frames[:, :, middle + 2 :], BLUE)

    @pytest.mark.parametrize("name", ["full-tb", "half-tb"])
    def test_left_eye_is_on_top(self, tmp_path: Path, name: str) -> None:
        frames = made(tmp_path, flat(RED), flat(BLUE), name)
        assert frames.shape[1:3] == (HEIGHT * 2 if name == "full-tb" else HEIGHT, WIDTH)
        middle = frames.shape[1] // 2
        assert near(frames[:, : middle - 2], RED)
        assert near(frames[:, middle + 2 :], BLUE)

    def test_every_frame_is_paired_with_its_own(self, tmp_path: Path) -> None:
        left, right = flat((0, 0, 0)), flat((0, 0, 0))
        for time in range(FRAMES):
            left[time], right[time] = 40 * time, 40 * time + 100
        frames = made(tmp_path, left, right, "full-sbs")
        for time in range(FRAMES):
            assert frames[time, :, : WIDTH - 2].mean() == pytest.approx(40 * time, abs=2)
            assert frames[time, :, WIDTH + 2 :].mean() == pytest.approx(40 * time + 100, abs=2)

    def test_single_frame(self, tmp_path: Path) -> None:
        deliver(tmp_path / "a.mp4", flat(RED)[:1], flat(BLUE)[:1], 10, "half-tb")
        assert video.read_video(tmp_path / "a.mp4").frames.shape == (1, HEIGHT, WIDTH, 3)

    def test_halving_averages_each_eye_alone(self, tmp_path: Path) -> None:
        stripes = flat((0, 0, 0))
        stripes[:, :, ::2] = 255
        frames = made(tmp_path, stripes, flat((255, 255, 255)), "half-sbs")
        assert np.abs(frames[:, :, 4 : WIDTH // 2 - 4] - 127.5).max() < 12  # picking every second would give 0 or 255
        assert frames[:, :, WIDTH // 2 + 1 :].min() > 245  # nothing of the left eye's stripes

    @pytest.mark.parametrize("name", [name for name in LAYOUTS if name.startswith("anaglyph")])
    def test_left_eye_is_red(self, tmp_path: Path, name: str) -> None:
        white, black = flat((255, 255, 255)), flat((0, 0, 0))
        red, green, blue = made(tmp_path, white, black, name).mean((0, 1, 2))
        assert red > 180
        assert max(green, blue) < 60
        red, green, blue = made(tmp_path, black, white, name).mean((0, 1, 2))
        assert red < 60
        assert min(green, blue) > 180

    def test_colour_anaglyph_takes_channels_as_they_are(self, tmp_path: Path) -> None:
        frames = made(tmp_path, flat((200, 10, 20)), flat((30, 120, 160)), "anaglyph-colour")
        assert near(frames, (200, 120, 160))

    def test_grey_anaglyph_has_one_level_per_eye(self, tmp_path: Path) -> None:
        frames = made(tmp_path, flat((200, 100, 50)), flat((30, 120, 160)), "anaglyph-grey")
        red, green, blue = frames.mean((0, 1, 2))
        assert red == pytest.approx(0.299 * 200 + 0.587 * 100 + 0.114 * 50, abs=3)
        assert green == pytest.approx(blue, abs=3)
        assert green == pytest.approx(0.299 * 30 + 0.587 * 120 + 0.114 * 160, abs=3)


class TestFiles:
    def test_names(self) -> None:
        assert file_name("robot", "full-sbs") == "robot_LRF_Full_SBS.mp4"
        assert file_name("robot", "half-sbs").endswith("_LR.mp4")
        assert file_name("robot", "half-tb").endswith("_TB.mp4")
        assert file_name("robot", "anaglyph-dubois") == "robot_redcyan_dubois.mp4"
        assert len({file_name("x", name) for name in LAYOUTS}) == len(LAYOUTS)

    @pytest.mark.parametrize(("name", "kind"), [("half-sbs", "side by side"), ("full-tb", "top and bottom")])
    def test_frame_packing_is_signalled(self, tmp_path: Path, name: str, kind: str) -> None:
        made(tmp_path, flat(RED), flat(BLUE), name)
        assert f"Stereo 3D: type - {kind}" in self.shown(tmp_path / "out.mp4")

    def test_anaglyph_is_flat(self, tmp_path: Path) -> None:
        made(tmp_path, flat(RED), flat(BLUE), "anaglyph-dubois")
        assert "Stereo 3D" not in self.shown(tmp_path / "out.mp4")

    def test_pixels_are_square_tagged_and_the_index_comes_first(self, tmp_path: Path) -> None:
        made(tmp_path, flat(RED), flat(BLUE), "half-sbs")
        content = (tmp_path / "out.mp4").read_bytes()
        assert content.index(b"moov") < content.index(b"mdat")
        described = self.shown(tmp_path / "out.mp4")
        assert re.search(r"yuv420p\(tv, bt709, progressive\), 96x64 \[SAR 1:1 DAR 3:2\]", described)

    @pytest.mark.parametrize("name", ["full-sbs", "half-tb", "anaglyph-dubois"])
    def test_same_views_same_bytes(self, tmp_path: Path, name: str) -> None:
        views = np.random.default_rng(0).integers(0, 256, (2, FRAMES, HEIGHT, WIDTH, 3), dtype=np.uint8)
        for path in (tmp_path / "a.mp4", tmp_path / "b.mp4"):
            deliver(path, *views, 10, name)
        assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()

    def shown(self, path: Path) -> str:
        command = [video.ffmpeg_binary(), "-i", str(path), "-vf", "showinfo", "-frames:v", "1", "-f", "null", "-"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stderr


class TestBadInput:
    def test_unknown_format(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"format: 'vr180' is not known; one of full-sbs, half-sbs, .* is right"):
            deliver(tmp_path / "a.mp4", flat(RED), flat(BLUE), 10, "vr180")
        with pytest.raises(InputError, match="format: 'vr180' is not known"):
            file_name("robot", "vr180")

    @pytest.mark.parametrize("other", [(FRAMES + 1, HEIGHT, WIDTH, 3), (FRAMES, HEIGHT, WIDTH + 2, 3)])
    def test_views_that_differ(self, tmp_path: Path, other: tuple[int, ...]) -> None:
        for action in (
            lambda: deliver(tmp_path / "a.mp4", flat(RED), np.zeros(other, np.uint8), 10, "full-sbs"),
            lambda: converge(flat(RED), np.zeros(other, np.uint8), 1),
        ):
            with pytest.raises(
                InputError, match=r"the two views differ in frames or size: left .*; they must be equal"
            ):
                action()

    def test_odd_size(self, tmp_path: Path) -> None:
        odd = np.zeros((2, 63, 96, 3), np.uint8)
        with pytest.raises(InputError, match=r"a\.mp4, each view: 96x63 is an odd size; both must be even"):
            deliver(tmp_path / "a.mp4", odd, odd, 10, "full-sbs")

    def test_size_that_is_odd_after_halving(self, tmp_path: Path) -> None:
        views = np.zeros((2, 64, 98, 3), np.uint8)
        with pytest.raises(InputError, match="98x64 halved for half-sbs is odd; sides divisible by 4 are right"):
            deliver(tmp_path / "a.mp4", views, views, 10, "half-sbs")
        deliver(tmp_path / "a.mp4", views, views, 10, "half-tb")

    def test_failed_write_leaves_the_old_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "a.mp4").write_text("before")
        monkeypatch.setitem(video._X264, "preset", "nonsense")
        with pytest.raises(StageError, match=r"a\.mp4: could not be written: ffmpeg said:"):
            deliver(tmp_path / "a.mp4", flat(RED), flat(BLUE), 10, "full-sbs")
        assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
        assert (tmp_path / "a.mp4").read_text() == "before"


class TestConvergence:
    @pytest.mark.parametrize(("share", "shift"), [(0, 0), (2 / 3, 2), (1, 3)])
    def test_share_of_the_range_goes_behind_the_screen(self, share: float, shift: float) -> None:
        assert convergence_shift(RANGE, share) == pytest.approx(shift)

    def test_far_end_counts(self) -> None:
        assert convergence_shift({"disparity_p01": 1.0, "disparity_p99": 4.0}, 0.5) == pytest.approx(2.5)

    def test_default_is_within_the_guidelines_at_four_percent(self) -> None:
        shift = convergence_shift({"disparity_p01": 0.0, "disparity_p99": 4.0})
        assert -3 < 0 - shift < -2
        assert 0 < 4 - shift < 2

    def test_unknown_range_is_not_shifted(self, caplog: pytest.LogCaptureFixture) -> None:
        assert convergence_shift({"disparity_p01": None, "disparity_p99": None}) == 0
        assert "delivered without a convergence shift" in caplog.text

    @pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
    def test_bad_share(self, share: float) -> None:
        with pytest.raises(InputError, match="is not a share; 0 to 1 is right"):
            convergence_shift(RANGE, share)

    @pytest.mark.parametrize("shift", [2.5, -2.5, 0.3, 7.0])
    @pytest.mark.parametrize("before", [4.0, 0.0, -1.5])
    def test_disparity_becomes_what_is_said(self, shift: float, before: float) -> None:
        width = 400
        left, right = stripe_at(200 + before * 2, 50, width), stripe_at(200 - before * 2, 50, width)
        assert (centre(left) - centre(right)) / width * 100 == pytest.approx(before, abs=0.02)
        views = converge(left, right, shift)
        after = (centre(views.left) - centre(views.right)) / width * 100
        assert after == pytest.approx(views.disparity(before), abs=0.02)
        assert views.disparity(before) == pytest.approx((before - shift) / (1 - abs(shift) / 100))

    def test_what_was_at_the_shift_lands_on_the_screen(self) -> None:
        views = converge(stripe_at(52), stripe_at(50), 200 / WIDTH)
        assert centre(views.left) == pytest.approx(centre(views.right), abs=0.05)

    @pytest.mark.parametrize("shift", [10.0, -10.0])
    def test_shapes_keep_and_sizes_too(self, shift: float) -> None:
        square = np.zeros((1, 200, 300, 3), np.uint8)
        square[:, 60:140, 110:190] = 255
        views = converge(square, square, shift)
        for view in (views.left, views.right):
            assert view.shape == square.shape
            bright = view[0, :, :, 0] > 127
            rows, columns = bright.any(1).sum(), bright.any(0).sum()
            assert rows == pytest.approx(80 / 0.9, abs=1.5)
            assert columns == pytest.approx(rows, abs=1)
            assert bright.any(1).nonzero()[0].mean() == pytest.approx(99.5, abs=1)  # rows stay centred

    def test_no_shift_changes_nothing(self) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (2, FRAMES, HEIGHT, WIDTH, 3), dtype=np.uint8)
        views = converge(*noise, 0)
        assert np.array_equal(views.left, noise[0])
        assert np.array_equal(views.right, noise[1])
        assert views.zoom == 1

    @pytest.mark.parametrize("shift", [26, -26, float("nan"), float("inf")])
    def test_impossible_shift(self, shift: float) -> None:
        with pytest.raises(InputError, match=f"a shift of {shift:g} % of width; -25 to 25 is right"):
            converge(flat(RED), flat(BLUE), shift)


class TestFacts:
    def test_sidecar(self, tmp_path: Path) -> None:
        views = converge(flat(RED), flat(BLUE), 2.0)
        deliver(tmp_path / "x_LRF_Full_SBS.mp4", views.left, views.right, 10, "full-sbs")
        percentiles = {"disparity_p01": 0.0, "disparity_p99": 3.0, "disparity_p50": None}
        facts = delivery_facts(tmp_path / "x_LRF_Full_SBS.mp4", "full-sbs", views, 10, percentiles)
        disparity = facts["disparity_percent_of_width"]
        assert facts["file"] == "x_LRF_Full_SBS.mp4"
        assert len(facts["sha256"]) == 64
        assert facts["eyes"] == "left eye first"
        assert facts["frame_packing_sei"] == 3
        assert (facts["frames"], facts["fps"]) == (FRAMES, 10.0)
        assert facts["view"] == {"width": 96, "height": 64}
        assert facts["picture"] == {"width": 192, "height": 64}
        assert disparity["before_convergence"] == percentiles
        assert disparity["after_convergence"]["disparity_p01"] == pytest.approx(-2 / 0.98)
        assert disparity["after_convergence"]["disparity_p99"] == pytest.approx(1 / 0.98)
        assert disparity["after_convergence"]["disparity_p50"] is None
        assert list(disparity["after_convergence"]) == list(percentiles)
        json.dumps(facts, allow_nan=False)

    @pytest.mark.parametrize("name", LAYOUTS)
    def test_picture_size_is_true(self, tmp_path: Path, name: str) -> None:
        views = converge(flat(RED), flat(BLUE), 0)
        path = tmp_path / file_name("x", name)
        deliver(path, views.left, views.right, 10, name)
        picture = delivery_facts(path, name, views, 10, {})["picture"]
        facts = video.probe_video(path)
        assert (picture["width"], picture["height"]) == (facts.width, facts.height)
