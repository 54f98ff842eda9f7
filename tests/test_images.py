"""Pictures of every mode become RGB with the right colours; bad ones are refused; sizes follow the documented rules."""

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from stereozero.errors import InputError, StageError
from stereozero.images import load_image, normalise_image, save_png


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def message_of(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        load_image(path)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value)


def colour_of(path: Path) -> list[int]:
    loaded = load_image(path)
    assert loaded.dtype == np.uint8
    assert loaded.ndim == 3
    assert loaded.flags.writeable
    return loaded[0, 0].tolist()


class TestModes:
    def test_rgb_is_exact(self, tmp_path: Path) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, (9, 13, 3), dtype=np.uint8)
        assert np.array_equal(load_image(saved(tmp_path / "a.png", Image.fromarray(pixels))), pixels)

    def test_rgba_is_composited_on_white(self, tmp_path: Path) -> None:
        assert colour_of(saved(tmp_path / "a.png", Image.new("RGBA", (8, 8), (200, 0, 0, 0)))) == [255, 255, 255]
        half = colour_of(saved(tmp_path / "b.png", Image.new("RGBA", (8, 8), (200, 0, 100, 128))))
        assert half == pytest.approx([227, 127, 177], abs=1)

    def test_grey_with_alpha(self, tmp_path: Path) -> None:
        assert colour_of(saved(tmp_path / "a.png", Image.new("LA", (8, 8), (0, 0)))) == [255, 255, 255]
        assert colour_of(saved(tmp_path / "b.png", Image.new("LA", (8, 8), (70, 255)))) == [70, 70, 70]

    def test_palette_with_transparency(self, tmp_path: Path) -> None:
        image = Image.new("P", (8, 8), 1)
        image.putpalette([0, 0, 0, 10, 20, 30])
        assert colour_of(saved(tmp_path / "a.png", image)) == [10, 20, 30]
        assert colour_of(saved(tmp_path / "b.png", image, transparency=1)) == [255, 255, 255]

    def test_transparent_colour(self, tmp_path: Path) -> None:
        image = Image.new("RGB", (8, 8), (1, 2, 3))
        assert colour_of(saved(tmp_path / "a.png", image, transparency=(1, 2, 3))) == [255, 255, 255]

    def test_grey_and_one_bit(self, tmp_path: Path) -> None:
        assert colour_of(saved(tmp_path / "a.png", Image.new("L", (8, 8), 77))) == [77, 77, 77]
        assert colour_of(saved(tmp_path / "b.png", Image.new("1", (8, 8), 1))) == [255, 255, 255]

    def test_sixteen_bits_are_scaled_not_clipped(self, tmp_path: Path) -> None:
        levels = np.array([0, 257, 300, 32768, 65535, 128, 129, 1000], np.uint16)
        path = saved(tmp_path / "a.png", Image.fromarray(np.tile(levels, (8, 1))))
        assert load_image(path)[0, :, 1].tolist() == [0, 1, 1, 128, 255, 0, 1, 4]

    def test_cmyk(self, tmp_path: Path) -> None:
        assert colour_of(saved(tmp_path / "a.tif", Image.new("CMYK", (8, 8), (0, 255, 255, 0)))) == [255, 0, 0]

    def test_exif_rotation(self, tmp_path: Path) -> None:
        pixels = np.zeros((8, 16, 3), np.uint8)
        pixels[:, :8] = 250
        exif = Image.Exif()
        exif[0x0112] = 6  # to be turned clockwise by 90 degrees to stand upright
        loaded = load_image(saved(tmp_path / "a.png", Image.fromarray(pixels), exif=exif))
        assert loaded.shape == (16, 8, 3)
        assert loaded[:8].min() == 250
        assert loaded[8:].max() == 0

    def test_first_frame_of_an_animation(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        first, second = Image.new("RGB", (8, 8), (255, 0, 0)), Image.new("RGB", (8, 8), (0, 0, 255))
        path = saved(tmp_path / "a.gif", first, save_all=True, append_images=[second])
        with caplog.at_level(logging.WARNING):
            assert colour_of(path) == [255, 0, 0]
        assert "has 2 frames; the first one is taken" in caplog.text

    def test_colour_profile_is_converted(self, tmp_path: Path) -> None:
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
        path = saved(tmp_path / "bad.png", Image.new("RGB", (8, 8), (10, 90, 200)), icc_profile=profile)
        assert colour_of(path) == [10, 90, 200]  # a profile for other channels can't be meant
        srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        path = saved(tmp_path / "same.png", Image.new("RGB", (8, 8), (10, 90, 200)), icc_profile=srgb)
        assert colour_of(path) == pytest.approx([10, 90, 200], abs=1)

    def test_profile_with_swapped_primaries_changes_colours(self, tmp_path: Path) -> None:
        srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        swapped = srgb.replace(b"rXYZ", b"tmp!").replace(b"gXYZ", b"rXYZ").replace(b"tmp!", b"gXYZ")
        path = saved(tmp_path / "a.png", Image.new("RGB", (8, 8), (255, 0, 0)), icc_profile=swapped)
        assert colour_of(path) == pytest.approx([0, 255, 0], abs=2)

    def test_broken_profile_is_ignored(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        path = saved(tmp_path / "a.png", Image.new("RGB", (8, 8), (1, 2, 3)), icc_profile=b"nonsense" * 40)
        assert colour_of(path) == [1, 2, 3]
        assert "its colour profile can't be used and is ignored" in caplog.text


class TestSavePng:
    def test_round_trip_and_equal_bytes(self, tmp_path: Path) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, (9, 13, 3), dtype=np.uint8)
        for name in ("a.png", "b.png"):
            save_png(tmp_path / name, pixels)
        assert np.array_equal(load_image(tmp_path / "a.png"), pixels)
        assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()

    def test_failure_names_the_file(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(StageError, match=r"a\.png: could not be written: the operating system said"):
            save_png(tmp_path / "file" / "a.png", np.zeros((8, 8, 3), np.uint8))


class TestBadPictures:
    def test_missing_and_folder(self, tmp_path: Path) -> None:
        assert "there is no such file; a picture file is expected" in message_of(tmp_path / "no.png")
        assert "is a folder; a picture file is expected" in message_of(tmp_path)

    def test_not_a_picture(self, tmp_path: Path) -> None:
        (tmp_path / "a.png").write_text("words")
        assert "is not a picture (of a kind that Pillow knows), e.g. PNG or JPEG" in message_of(tmp_path / "a.png")

    @pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".gif"])
    def test_truncated(self, tmp_path: Path, suffix: str) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        path = saved(tmp_path / f"a{suffix}", Image.fromarray(pixels))
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        message = message_of(path)
        assert "is truncated or damaged" in message or "is not a picture" in message

    @pytest.mark.parametrize("size", [(7, 100), (100, 7), (1, 1)])
    def test_too_small(self, tmp_path: Path, size: tuple[int, int]) -> None:
        path = saved(tmp_path / "a.png", Image.new("RGB", size))
        assert f"is {size[0]}x{size[1]} pixels; at least 8 pixels on each side are needed" in message_of(path)

    @pytest.mark.parametrize("side", [10_000, 20_000])
    def test_far_too_large(self, tmp_path: Path, side: int) -> None:
        path = saved(tmp_path / "a.png", Image.new("1", (side, side)))
        assert "has more than 89 million pixels; make it smaller" in message_of(path)

    def test_pixels_without_a_white(self, tmp_path: Path) -> None:
        path = saved(tmp_path / "a.tif", Image.new("F", (8, 8), 0.5))
        assert "has floating-point pixels, whose white is not defined" in message_of(path)
        path = saved(tmp_path / "b.tif", Image.new("I", (8, 8), 70_000))
        assert "has 32-bit pixels from 70000 to 70000, whose white is not defined" in message_of(path)


def marked(height: int, width: int) -> np.ndarray:
    """White with a black rectangle over the middle half of rows and columns."""
    image = np.full((height, width, 3), 255, np.uint8)
    image[height // 4 : height * 3 // 4, width // 4 : width * 3 // 4] = 0
    return image


class TestNormalise:
    @pytest.mark.parametrize("fit", ["cover", "contain", "short-side"])
    @pytest.mark.parametrize("size", [(64, 96), (96, 64), (64, 64), (37, 51)])
    @pytest.mark.parametrize("source", [(512, 512), (9, 300), (300, 9), (720, 1280), (8, 8), (64, 96)])
    def test_size_and_type(self, fit: str, size: tuple[int, int], source: tuple[int, int]) -> None:
        result = normalise_image(marked(*source), *size, fit)
        assert result.shape == (*size, 3)
        assert result.dtype == np.uint8

    @pytest.mark.parametrize("fit", ["cover", "contain", "short-side"])
    def test_right_size_is_untouched(self, fit: str) -> None:
        image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
        assert np.array_equal(normalise_image(image, 64, 96, fit), image)

    def test_cover_keeps_shapes_and_centre(self) -> None:
        dark = normalise_image(marked(200, 200), 100, 160, "cover")[..., 0] < 128
        rows, columns = dark.any(1).nonzero()[0], dark.any(0).nonzero()[0]
        assert (rows[0], rows[-1]) == (10, 89)  # 80 rows around the middle, uncropped
        assert (columns[0], columns[-1]) == (40, 119)  # and as many columns

    def test_contain_pads_with_mid_grey(self) -> None:
        result = normalise_image(marked(200, 200), 100, 160, "contain")
        assert (result[:, :30] == 128).all()
        assert (result[:, -30:] == 128).all()
        assert (result[:, 30:130] != 128).mean() > 0.9

    def test_short_side_pads_a_square_as_dynamicrafter_does(self) -> None:
        result = normalise_image(marked(512, 512), 320, 512, "short-side")
        assert (result[:, :96] == 128).all()
        assert (result[:, -96:] == 128).all()
        assert (result[:, 96:416] != 128).mean() > 0.9

    def test_short_side_crops_a_wide_picture(self) -> None:
        result = normalise_image(marked(100, 400), 100, 160, "short-side")
        assert (result != 128).all()

    @pytest.mark.parametrize("fit", ["cover", "contain", "short-side"])
    def test_shrinking_averages(self, fit: str) -> None:
        stripes = np.zeros((512, 512, 3), np.uint8)
        stripes[:, ::2] = 255
        inner = normalise_image(stripes, 32, 32, fit)[4:-4, 4:-4].astype(int)
        assert np.abs(inner - 127.5).max() < 3  # picking pixels would give 0 or 255

    def test_unknown_fit(self) -> None:
        with pytest.raises(InputError, match="'stretch' is not known; 'cover', 'contain' or 'short-side' is right"):
            normalise_image(marked(64, 64), 64, 64, "stretch")
