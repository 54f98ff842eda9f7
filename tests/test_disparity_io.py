"""Disparity on disk: exact round trips, every form a user may bring, and what is said about bad ones."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from PIL import Image

from stereozero import video
from stereozero.disparity_io import check_matches, load_disparity, read_given_disparity, save_disparity
from stereozero.errors import InputError, StageError

GOOD = np.random.default_rng(0).random((3, 10, 14), dtype=np.float32)


def message_of(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_given_disparity(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def saved(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


def with_value(value: float) -> np.ndarray:
    array = GOOD.copy()
    array[1, 2, 3] = value
    return array


class TestArtefact:
    def test_round_trip(self, tmp_path: Path) -> None:
        save_disparity(tmp_path / "d.safetensors", GOOD, {"method": "plane"})
        loaded = load_disparity(tmp_path / "d.safetensors")
        assert loaded.dtype == np.float32
        assert np.array_equal(loaded, GOOD)
        assert loaded.flags.writeable

    def test_the_library_reads_it_with_its_metadata(self, tmp_path: Path) -> None:
        save_disparity(tmp_path / "d.safetensors", GOOD, {"method": "ä", "b": "2"})
        with safetensors.safe_open(tmp_path / "d.safetensors", "numpy") as file:
            assert file.metadata() == {"method": "ä", "b": "2"}
            assert np.array_equal(file.get_tensor("disparity"), GOOD)

    def test_same_bytes_in_every_process(self, tmp_path: Path) -> None:
        script = (
            "import sys, numpy as np; from pathlib import Path; from stereozero.disparity_io import save_disparity;"
            "save_disparity(Path(sys.argv[1]), np.full((2, 3, 5), 0.5, np.float32), {c: c for c in 'abcdefghij'})"
        )
        digests = set()
        for name in ("a", "b", "c"):
            subprocess.run([sys.executable, "-c", script, tmp_path / name], check=True)
            digests.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
        assert len(digests) == 1

    def test_other_types_are_not_written(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="disparity is float32, not float64"):
            save_disparity(tmp_path / "d.safetensors", GOOD.astype(np.float64), {})
        with pytest.raises(InputError, match="has 1 NaN"):
            save_disparity(tmp_path / "d.safetensors", with_value(np.nan), {})
        assert list(tmp_path.iterdir()) == []

    def test_failed_write_leaves_the_old_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "d.safetensors"
        path.write_text("before")

        def full(self: Path, data: bytes) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Path, "write_bytes", full)
        with pytest.raises(StageError, match=r"No space left on device; .* MB are free on that disk"):
            save_disparity(path, GOOD, {})
        assert [file.name for file in tmp_path.iterdir()] == ["d.safetensors"]
        assert path.read_text() == "before"

    def test_truncated(self, tmp_path: Path) -> None:
        path = tmp_path / "d.safetensors"
        save_disparity(path, GOOD, {})
        path.write_bytes(path.read_bytes()[:-10])
        with pytest.raises(InputError, match="can't be read as safetensors"):
            load_disparity(path)

    def test_missing_key(self, tmp_path: Path) -> None:
        safetensors.numpy.save_file({"depth": GOOD}, tmp_path / "d.safetensors")
        with pytest.raises(InputError, match=r"has no tensor 'disparity', only \['depth'\]"):
            load_disparity(tmp_path / "d.safetensors")


class TestGiven:
    @pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, ">f4"])
    def test_npy(self, tmp_path: Path, kind: type) -> None:
        given = read_given_disparity(saved(tmp_path / "d.npy", GOOD.astype(kind)))
        assert given.dtype == np.float32
        assert np.array_equal(given, GOOD.astype(kind).astype(np.float32))

    def test_npz(self, tmp_path: Path) -> None:
        np.savez_compressed(tmp_path / "d.npz", GOOD)
        assert np.array_equal(read_given_disparity(tmp_path / "d.npz"), GOOD)

    def test_safetensors_with_one_tensor_of_any_name(self, tmp_path: Path) -> None:
        safetensors.numpy.save_file({"depth": GOOD}, tmp_path / "d.safetensors")
        assert np.array_equal(read_given_disparity(tmp_path / "d.safetensors"), GOOD)

    def test_invert(self, tmp_path: Path) -> None:
        given = read_given_disparity(saved(tmp_path / "d.npy", GOOD), invert=True)
        assert np.array_equal(given, 1 - GOOD)

    @pytest.mark.parametrize(("kind", "white"), [("uint8", 255), ("uint16", 65535), (">u2", 65535)])
    def test_whole_numbers_are_divided_by_white(self, tmp_path: Path, kind: str, white: int) -> None:
        levels = np.array([0, white // 5, white], kind).reshape(1, 1, 3)
        given = read_given_disparity(saved(tmp_path / "d.npy", levels))
        assert given.ravel().tolist() == pytest.approx([0, 0.2, 1], abs=1e-7)

    def test_png_folder_in_the_order_of_numbers(self, tmp_path: Path) -> None:
        for number in range(11):
            level = np.full((4, 6), number * 6553, np.uint16)
            Image.fromarray(level).save(tmp_path / f"{number}.png")
        (tmp_path / "notes.txt").touch()
        given = read_given_disparity(tmp_path)
        assert given.shape == (11, 4, 6)
        assert given[:, 0, 0] == pytest.approx(np.arange(11) * 6553 / 65535)

    def test_grey_video(self, tmp_path: Path) -> None:
        ramp = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
        video.write_lossless(tmp_path / "d.mkv", ramp, 10)
        assert np.array_equal(read_given_disparity(tmp_path / "d.mkv"), ramp.astype(np.float32) / 255)

    def test_deep_grey_video(self, tmp_path: Path) -> None:
        ramp = np.linspace(0, 65535, 4096).astype("<u2").reshape(64, 64)
        (tmp_path / "raw").write_bytes(ramp.tobytes())
        raw = ["-f", "rawvideo", "-pixel_format", "gray16le", "-video_size", "64x64", "-i", tmp_path / "raw"]
        subprocess.run([video.ffmpeg_binary(), "-v", "error", *raw, "-c:v", "ffv1", tmp_path / "d.mkv"], check=True)
        assert read_given_disparity(tmp_path / "d.mkv")[0] == pytest.approx(ramp / 65535, abs=1e-7)

    def test_grey_video_in_a_coloured_format(self, tmp_path: Path) -> None:
        ramp = np.repeat(np.arange(256, dtype=np.uint8).reshape(1, 16, 16), 3, 0)
        frames = np.repeat(np.kron(ramp, np.ones((1, 4, 4), np.uint8))[..., None], 3, -1)
        video.write_mp4(tmp_path / "d.mp4", frames, 10, crf=5)
        given = read_given_disparity(tmp_path / "d.mp4")
        assert np.abs(given * 255 - frames[..., 0]).max() <= 6
        assert given.max() == 1
        assert given.min() == 0


class TestBadGiven:
    def test_missing(self, tmp_path: Path) -> None:
        assert "there is no such file or folder; a .safetensors, .npy" in message_of(tmp_path / "no.npy")

    def test_nan_and_infinities(self, tmp_path: Path) -> None:
        array = with_value(np.nan)
        array[2, 0, 0] = np.inf
        assert "has 1 NaN and 1 infinite values, the first in frame 1, row 2, column 3" in message_of(
            saved(tmp_path / "d.npy", array)
        )
        assert "has 0 NaN and 1 infinite values" in message_of(saved(tmp_path / "e.npy", with_value(-np.inf)))

    def test_negative(self, tmp_path: Path) -> None:
        array = with_value(-0.25)
        array[0, 0, 0] = 1
        assert (
            "has negative values (from -0.25 to 1); [0, 1] with 1 nearest is right: add 0.25, then divide by 1.25"
            in (message_of(saved(tmp_path / "d.npy", array)))
        )

    def test_above_one(self, tmp_path: Path) -> None:
        array = with_value(37.5)
        array[0, 0, 0] = 0
        assert "has values above 1 (from 0 to 37.5); [0, 1] with 1 nearest is right: divide by 37.5" in message_of(
            saved(tmp_path / "d.npy", array)
        )

    @pytest.mark.parametrize("shape", [(10, 14), (3, 10, 14, 3), (0, 10, 14)])
    def test_dimensions(self, tmp_path: Path, shape: tuple[int, ...]) -> None:
        message = message_of(saved(tmp_path / "d.npy", np.zeros(shape, np.float32)))
        assert f"has the shape {shape}; (frames, height, width) is right" in message

    def test_dimension_of_one_is_pointed_at(self, tmp_path: Path) -> None:
        message = message_of(saved(tmp_path / "d.npy", np.zeros((3, 1, 10, 14), np.float32)))
        assert "squeezed, (3, 10, 14) would do" in message

    @pytest.mark.parametrize("kind", ["int64", "bool", "complex64", "U3"])
    def test_types(self, tmp_path: Path, kind: str) -> None:
        message = message_of(saved(tmp_path / "d.npy", np.zeros((3, 4, 5), kind)))
        assert "floating-point numbers in [0, 1], uint8 (0 to 255) or uint16 (0 to 65535) are right" in message

    def test_pickles_are_not_opened(self, tmp_path: Path) -> None:
        np.save(tmp_path / "d.npy", np.array([{"a": 1}], object), allow_pickle=True)
        assert "can't be read as a numpy file (Object arrays cannot be loaded" in message_of(tmp_path / "d.npy")

    @pytest.mark.parametrize("suffix", [".npy", ".npz", ".safetensors"])
    def test_garbage(self, tmp_path: Path, suffix: str) -> None:
        (tmp_path / f"d{suffix}").write_bytes(b"nonsense" * 20)
        assert "can't be read as" in message_of(tmp_path / f"d{suffix}")

    def test_truncated_npy_and_npz(self, tmp_path: Path) -> None:
        saved(tmp_path / "d.npy", GOOD)
        np.savez(tmp_path / "d.npz", GOOD)
        for path in (tmp_path / "d.npy", tmp_path / "d.npz"):
            path.write_bytes(path.read_bytes()[:-100])
            assert "can't be read as a numpy file" in message_of(path)

    def test_several_arrays(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "d.npz", a=GOOD, b=GOOD)
        assert "holds 2 arrays ['a', 'b']; exactly one is right" in message_of(tmp_path / "d.npz")
        safetensors.numpy.save_file({"a": GOOD, "b": GOOD}, tmp_path / "d.safetensors")
        assert "a tensor 'disparity', or one tensor only, is right" in message_of(tmp_path / "d.safetensors")

    def test_folder_without_png(self, tmp_path: Path) -> None:
        assert "a folder without PNG files" in message_of(tmp_path)

    def test_coloured_png(self, tmp_path: Path) -> None:
        Image.new("RGB", (8, 8)).save(tmp_path / "0.png")
        assert "has the mode RGB; disparity is grey" in message_of(tmp_path)

    def test_damaged_png(self, tmp_path: Path) -> None:
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)).save(tmp_path / "0.png")
        (tmp_path / "0.png").write_bytes((tmp_path / "0.png").read_bytes()[:2000])
        assert "0.png: can't be read as a PNG file" in message_of(tmp_path)

    def test_png_of_unlike_sizes(self, tmp_path: Path) -> None:
        Image.new("L", (8, 8)).save(tmp_path / "0.png")
        Image.new("L", (8, 9)).save(tmp_path / "1.png")
        assert "1.png: is 8x9 with 8 bits, 0.png is 8x8 with 8 bits; all frames must be alike" in message_of(tmp_path)

    def test_coloured_video(self, tmp_path: Path) -> None:
        frames = np.zeros((2, 16, 16, 3), np.uint8)
        frames[..., 0] = 200
        video.write_lossless(tmp_path / "d.mkv", frames, 10)
        assert "is a coloured video (red, green and blue differ by up to 200 of 255 levels)" in message_of(
            tmp_path / "d.mkv"
        )

    def test_not_a_video(self, tmp_path: Path) -> None:
        (tmp_path / "d.mp4").write_text("nothing\n" * 99)
        assert "is not a video" in message_of(tmp_path / "d.mp4")


class TestCheckMatches:
    def test_equal_is_fine(self) -> None:
        check_matches(GOOD, 3, 10, 14, "d.npy")

    def test_frames(self) -> None:
        with pytest.raises(InputError, match=r"d\.npy: the disparity has 3 frames, the source video 16; they must be"):
            check_matches(GOOD, 16, 10, 14, "d.npy")

    @pytest.mark.parametrize("size", [(14, 10), (10, 15)])
    def test_size(self, size: tuple[int, int]) -> None:
        right = f"the disparity is 14x10 \\(width x height\\), the source video {size[1]}x{size[0]}"
        with pytest.raises(InputError, match=right):
            check_matches(GOOD, 3, *size, "d.npy")
