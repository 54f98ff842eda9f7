"""Videos: exact round trips, colours, equal bytes, and what is said about each kind of bad file."""

import dataclasses
import hashlib
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from stereozero import video
from stereozero.errors import InputError, StageError


@pytest.fixture
def noise() -> np.ndarray:
    """Frames that no codec can predict, of a size that is a multiple of nothing."""
    return np.random.default_rng(0).integers(0, 256, (5, 37, 51, 3), dtype=np.uint8)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A whole MP4 of 16 frames, index first."""
    path = tmp_path / "clip.mp4"
    video.write_mp4(path, moving_gradient(16, 64, 96), 8)
    return path


def moving_gradient(frames: int, height: int, width: int) -> np.ndarray:
    x, y, t = np.arange(width), np.arange(height)[:, None], np.arange(frames)[:, None, None]
    red, green = (x * 2 + t * 5) % 256, np.broadcast_to(y * 3 % 256, (height, width))
    return np.stack(np.broadcast_arrays(red, green, 128 + 0 * t), -1).astype(np.uint8)


def run_ffmpeg(*arguments: object) -> None:
    subprocess.run([video.ffmpeg_binary(), "-y", "-v", "error", *map(str, arguments)], check=True)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def message_of(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        video.read_video(path)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value)


class TestLossless:
    def test_noise_survives_bit_by_bit(self, tmp_path: Path, noise: np.ndarray) -> None:
        video.write_lossless(tmp_path / "a.mkv", noise, 10)
        read = video.read_video(tmp_path / "a.mkv")
        assert np.array_equal(read.frames, noise)
        assert read.frames.flags.writeable

    def test_every_grey_level_survives(self, tmp_path: Path) -> None:
        ramp = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
        video.write_lossless(tmp_path / "a.mkv", ramp, 10)
        assert np.array_equal(video.read_grey(tmp_path / "a.mkv"), ramp)

    def test_single_frame_single_pixel(self, tmp_path: Path) -> None:
        pixel = np.array([1, 2, 3], np.uint8).reshape(1, 1, 1, 3)
        video.write_lossless(tmp_path / "a.mkv", pixel, 10)
        assert np.array_equal(video.read_video(tmp_path / "a.mkv").frames, pixel)

    def test_frames_that_are_not_contiguous(self, tmp_path: Path, noise: np.ndarray) -> None:
        video.write_lossless(tmp_path / "a.mkv", noise[::-1, :, ::2], 10)
        assert np.array_equal(video.read_video(tmp_path / "a.mkv").frames, noise[::-1, :, ::2])

    @pytest.mark.parametrize("rate", ["8", "10", "25/2", "24000/1001", "30000/1001", "16/3", "120"])
    @pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
    def test_frame_rate_survives(self, tmp_path: Path, rate: str, suffix: str) -> None:
        frames = np.zeros((4, 16, 16, 3), np.uint8)
        write = video.write_lossless if suffix == ".mkv" else video.write_mp4
        write(tmp_path / f"a{suffix}", frames, Fraction(rate))
        assert video.probe_video(tmp_path / f"a{suffix}").fps == Fraction(rate)

    def test_same_frames_same_bytes(self, tmp_path: Path, noise: np.ndarray) -> None:
        for name in ("a.mkv", "b.mkv"):
            video.write_lossless(tmp_path / name, noise, 10)
        assert sha256(tmp_path / "a.mkv") == sha256(tmp_path / "b.mkv")

    @pytest.mark.parametrize("threads", [1, 2, 7])
    def test_bytes_do_not_depend_on_threads(
        self, tmp_path: Path, noise: np.ndarray, monkeypatch: pytest.MonkeyPatch, threads: int
    ) -> None:
        video.write_lossless(tmp_path / "a.mkv", noise, 10)
        monkeypatch.setitem(video._FFV1, "threads", threads)
        video.write_lossless(tmp_path / "b.mkv", noise, 10)
        assert sha256(tmp_path / "a.mkv") == sha256(tmp_path / "b.mkv")

    @pytest.mark.parametrize("name", ["a:b.mkv", "-y.mkv", "50%d.mkv", "übung 'x' [1].mkv", "http:x.mkv"])
    def test_awkward_names(self, tmp_path: Path, noise: np.ndarray, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        monkeypatch.chdir(tmp_path)
        video.write_lossless(Path(name), noise[:1], 10)
        assert len(video.read_video(Path(name)).frames) == 1
        assert [path.name for path in tmp_path.iterdir()] == [name]

    def test_mask_survives_and_is_small(self, tmp_path: Path) -> None:
        mask = np.zeros((16, 320, 512), bool)
        mask[:, 100:200, 300:310] = True
        video.write_mask(tmp_path / "m.mkv", mask, 10)
        assert np.array_equal(video.read_mask(tmp_path / "m.mkv"), mask)
        assert (tmp_path / "m.mkv").stat().st_size < 40_000  # 2.6 MB raw

    def test_grey_levels_are_no_mask(self, tmp_path: Path) -> None:
        video.write_lossless(tmp_path / "m.mkv", np.full((1, 16, 16), 128, np.uint8), 10)
        with pytest.raises(InputError, match="is not a mask: it has values besides 0 and 255"):
            video.read_mask(tmp_path / "m.mkv")


class TestColours:
    PATCHES = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (200, 120, 40), (18, 52, 86))

    @pytest.mark.parametrize("colour", PATCHES)
    def test_mp4_keeps_colours(self, tmp_path: Path, colour: tuple[int, int, int]) -> None:
        frames = np.broadcast_to(np.array(colour, np.uint8), (2, 32, 32, 3))
        video.write_mp4(tmp_path / "a.mp4", frames, 10, crf=1)
        read = video.read_video(tmp_path / "a.mp4").frames
        assert np.abs(read.astype(int) - colour).max() <= 2

    @pytest.mark.parametrize(
        ("matrix", "full_range"), [("bt709", "tv"), ("bt709", "pc"), ("smpte170m", "tv"), ("smpte170m", "pc")]
    )
    def test_tags_are_obeyed(self, tmp_path: Path, matrix: str, full_range: str) -> None:
        colour = (200, 120, 40)
        convert = f"scale=out_color_matrix={matrix}:out_range={full_range}:flags=accurate_rnd,format=yuv444p"
        run_ffmpeg(
            *("-f", "lavfi", "-i", f"color=0x{bytes(colour).hex()}:s=32x32:d=0.2:r=10,format=rgb24", "-vf", convert),
            *("-c:v", "ffv1", "-colorspace", matrix, "-color_range", full_range, tmp_path / "a.mkv"),
        )
        read = video.read_video(tmp_path / "a.mkv").frames
        assert np.abs(read.astype(int) - colour).max() <= 2

    def test_ten_bits(self, tmp_path: Path) -> None:
        frames = np.full((2, 32, 32, 3), (200, 120, 40), np.uint8)
        video.write_lossless(tmp_path / "a.mkv", frames, 10)
        run_ffmpeg("-i", tmp_path / "a.mkv", "-c:v", "ffv1", "-pix_fmt", "yuv444p10le", tmp_path / "b.mkv")
        assert video.probe_video(tmp_path / "b.mkv").deep
        assert np.abs(video.read_video(tmp_path / "b.mkv").frames.astype(int) - frames).max() <= 2

    def test_deep_grey_keeps_its_levels(self, tmp_path: Path) -> None:
        ramp = np.linspace(0, 65535, 64 * 64).astype("<u2").reshape(64, 64)
        (tmp_path / "raw").write_bytes(ramp.tobytes())
        raw = ("-f", "rawvideo", "-pixel_format", "gray16le", "-video_size", "64x64", "-i", tmp_path / "raw")
        run_ffmpeg(*raw, "-c:v", "ffv1", tmp_path / "a.mkv")
        assert np.array_equal(video.read_grey(tmp_path / "a.mkv")[0], ramp)


class TestArrays:
    def test_floats_are_rounded_and_clipped(self) -> None:
        values = np.array([-0.1, 0, 0.4 / 255, 0.6 / 255, 0.5, 1, 1.5])
        assert video.to_uint8(values).tolist() == [0, 0, 0, 1, 128, 255, 255]

    def test_every_level_survives_as_float(self) -> None:
        levels = np.arange(256, dtype=np.uint8)
        assert np.array_equal(video.to_uint8(levels.astype(np.float32) / 255), levels)

    @pytest.mark.parametrize("shape", [(2, 37, 50, 3), (2, 36, 51)])
    def test_odd_size(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(InputError, match=r"clip\.mp4: .* is an odd size; both must be even"):
            video.check_even_size(np.zeros(shape, np.uint8), "clip.mp4")
        video.check_even_size(np.zeros((2, 36, 50, 3), np.uint8), "clip.mp4")


class TestMp4:
    def test_same_frames_same_bytes(self, tmp_path: Path) -> None:
        for name in ("a.mp4", "b.mp4"):
            video.write_mp4(tmp_path / name, moving_gradient(8, 64, 96), 8)
        assert sha256(tmp_path / "a.mp4") == sha256(tmp_path / "b.mp4")

    def test_index_comes_first(self, clip: Path) -> None:
        content = clip.read_bytes()
        assert 0 < content.index(b"moov") < content.index(b"mdat")

    def test_facts(self, clip: Path) -> None:
        facts = video.probe_video(clip)
        assert facts == video.VideoFacts(96, 64, Fraction(8), "yuv420p", 16)

    def test_odd_size(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"51x37 is an odd size; both must be even, e\.g\. cropped to 50x36"):
            video.write_mp4(tmp_path / "a.mp4", np.zeros((2, 37, 51, 3), np.uint8), 10)
        assert list(tmp_path.iterdir()) == []


class TestReading:
    def test_rotation_is_applied(self, tmp_path: Path, clip: Path) -> None:
        run_ffmpeg("-display_rotation", "90", "-i", clip, "-c", "copy", tmp_path / "turned.mp4")
        turned, upright = video.read_video(tmp_path / "turned.mp4").frames, video.read_video(clip).frames
        assert turned.shape == (16, 96, 64, 3)
        error = np.abs(np.rot90(upright, 1, (1, 2)).astype(int) - turned)
        assert error.mean() < 2  # the other direction: above 50

    @pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
    def test_variable_rate_keeps_every_frame(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"v{suffix}"
        late = "setpts='if(lt(N,10),N,N+(N-10)*3)/10/TB'"
        run_ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:r=10:d=2", "-vf", late, "-fps_mode", "passthrough", path)
        assert len(video.read_video(path).frames) == 20

    def test_sound_that_is_longer_is_no_truncation(self, tmp_path: Path, clip: Path) -> None:
        sound = ("-f", "lavfi", "-i", "sine=d=5", "-c:a", "aac")
        run_ffmpeg("-i", clip, *sound, "-c:v", "copy", tmp_path / "av.mp4")
        assert len(video.read_video(tmp_path / "av.mp4").frames) == 16

    def test_pixels_that_are_not_square_are_mentioned(
        self, tmp_path: Path, clip: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        run_ffmpeg("-i", clip, "-vf", "setsar=4/3", tmp_path / "a.mp4")
        assert video.read_video(tmp_path / "a.mp4").frames.shape == (16, 64, 96, 3)
        assert "pixels are not square (4:3)" in caplog.text


class TestBadFiles:
    def test_missing(self, tmp_path: Path) -> None:
        assert "there is no such file; a video file is expected" in message_of(tmp_path / "no.mp4")

    def test_folder(self, tmp_path: Path) -> None:
        assert "is a folder; a video file is expected" in message_of(tmp_path)

    def test_empty(self, tmp_path: Path) -> None:
        (tmp_path / "a.mp4").touch()
        assert "the file is empty; a video file is expected" in message_of(tmp_path / "a.mp4")

    def test_text(self, tmp_path: Path) -> None:
        (tmp_path / "a.mp4").write_text("no video at all, just some words\n" * 50)
        assert "is not a video" in message_of(tmp_path / "a.mp4")

    def test_picture(self, tmp_path: Path) -> None:
        run_ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48", "-frames:v", 1, tmp_path / "a.png")
        (tmp_path / "a.png").rename(tmp_path / "a.mp4")
        assert "is a picture or text (ffmpeg calls it 'png_pipe')" in message_of(tmp_path / "a.mp4")

    def test_sound(self, tmp_path: Path) -> None:
        run_ffmpeg("-f", "lavfi", "-i", "sine=d=0.2", tmp_path / "a.wav")
        assert "has no video stream" in message_of(tmp_path / "a.wav")

    def test_playlist_does_not_reach_the_network(self, tmp_path: Path) -> None:
        (tmp_path / "a.m3u8").write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n")
        assert "is not a video" in message_of(tmp_path / "a.m3u8")

    @pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
    def test_no_frames(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"a{suffix}"
        run_ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:d=1", "-t", 0, "-c:v", "libx264", path)
        assert "holds no frames" in message_of(path)

    @pytest.mark.parametrize("share", [0.4, 0.7, 0.9, 0.99])
    def test_truncated_mp4(self, clip: Path, share: float) -> None:
        content = clip.read_bytes()
        clip.write_bytes(content[: int(len(content) * share)])
        assert "is truncated or damaged" in message_of(clip)

    def test_truncated_mp4_with_the_index_last(self, tmp_path: Path, clip: Path) -> None:
        run_ffmpeg("-i", clip, "-c", "copy", tmp_path / "late.mp4")
        content = (tmp_path / "late.mp4").read_bytes()
        (tmp_path / "late.mp4").write_bytes(content[: len(content) // 2])
        assert "its beginning or end is missing (ffmpeg said: [in#0] moov atom not found" in message_of(
            tmp_path / "late.mp4"
        )

    @pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.99])
    def test_truncated_mkv(self, tmp_path: Path, noise: np.ndarray, share: float) -> None:
        path = tmp_path / "a.mkv"
        video.write_lossless(path, noise, 10)
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])
        assert "is truncated or damaged" in message_of(path)

    def test_flipped_bit_in_lossless_video(self, tmp_path: Path, noise: np.ndarray) -> None:
        path = tmp_path / "a.mkv"
        video.write_lossless(path, noise, 10)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        assert "slice CRC mismatch" in message_of(path)

    def test_fewer_frames_than_declared(self, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        facts = dataclasses.replace(video.probe_video(clip), declared_frames=20)
        monkeypatch.setattr(video, "probe_video", lambda path: facts)
        assert "its header lists 20 frames, 16 could be decoded" in message_of(clip)

    def test_messages_are_the_same_every_time(self, clip: Path) -> None:
        clip.write_bytes(clip.read_bytes()[:-200])
        assert message_of(clip) == message_of(clip)


class TestFailedWriting:
    def test_wrong_frames(self, tmp_path: Path) -> None:
        for frames in (
            np.zeros((2, 8, 8, 3), np.float32),
            np.zeros((2, 8, 8, 4), np.uint8),
            np.zeros((0, 8, 8, 3), "u1"),
        ):
            with pytest.raises(InputError, match=r"can't be written as a video; uint8 \(F, H, W, 3\)"):
                video.write_lossless(tmp_path / "a.mkv", frames, 10)
        with pytest.raises(InputError, match="a mask is bool"):
            video.write_mask(tmp_path / "a.mkv", np.zeros((2, 8, 8), np.uint8), 10)

    @pytest.mark.parametrize("fps", [0, -1, 5000])
    def test_wrong_rate(self, tmp_path: Path, noise: np.ndarray, fps: int) -> None:
        with pytest.raises(InputError, match=f"{fps} frames per second; above 0 and at most 1000 is right"):
            video.write_lossless(tmp_path / "a.mkv", noise, fps)

    def test_ffmpeg_fails(self, tmp_path: Path, noise: np.ndarray) -> None:
        (tmp_path / "a.mkv").write_text("before")
        with pytest.raises(StageError, match=r"a\.mkv: could not be written: ffmpeg said: .*nonsense"):
            video.encode(tmp_path / "a.mkv", video.raw_stream(noise, 10), noise, {"c:v": "nonsense"})
        assert [path.name for path in tmp_path.iterdir()] == ["a.mkv"]
        assert (tmp_path / "a.mkv").read_text() == "before"

    def test_folder_is_a_file(self, tmp_path: Path, noise: np.ndarray) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(StageError, match="could not be written: the operating system said"):
            video.write_lossless(tmp_path / "file" / "a.mkv", noise, 10)

    def test_full_disk(self, small_disk: Path) -> None:
        (small_disk / "a.mkv").write_text("before")
        frames = np.random.default_rng(0).integers(0, 256, (8, 128, 128, 3), dtype=np.uint8)
        with pytest.raises(StageError, match=r"a\.mkv: could not be written: .*No space left.*make room and run again"):
            video.write_lossless(small_disk / "a.mkv", frames, 10)
        assert [path.name for path in small_disk.iterdir()] == ["a.mkv"]
        assert (small_disk / "a.mkv").read_text() == "before"

    @pytest.fixture
    def small_disk(self, tmp_path: Path):
        folder = tmp_path / "disk"
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)]
        try:
            allowed = subprocess.run(mount, capture_output=True, check=False).returncode == 0
        except FileNotFoundError:
            allowed = False
        if not allowed:
            pytest.skip("mounting a small tmpfs is not permitted here (needs root)")
        yield folder
        subprocess.run(["umount", str(folder)], check=True)


class TestProgram:
    def test_wheel_is_used_where_the_system_has_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(video.shutil, "which", lambda name: None)
        assert "imageio_ffmpeg" in video.ffmpeg_binary.__wrapped__()

    def test_poor_system_ffmpeg_is_passed_over(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(video.shutil, "which", lambda name: "/bin/false")
        assert "imageio_ffmpeg" in video.ffmpeg_binary.__wrapped__()

    def test_good_system_ffmpeg_is_used(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        system = tmp_path / "ffmpeg"
        system.symlink_to(video.ffmpeg_binary())
        monkeypatch.setattr(video.shutil, "which", lambda name: str(system))
        assert video.ffmpeg_binary.__wrapped__() == str(system)
