"""Two views out of one picture, and doubts about how they were read."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from stereozero.errors import InputError
from stereozero.packed_views import layout_doubts, unpack_views, view_doubts, view_likeness
from stereozero.world import render_clip, sample_scene

PATH = Path("theirs.mp4")


@pytest.fixture(scope="module")
def views() -> tuple[np.ndarray, np.ndarray]:
    """Return the left and the right view of a rendered clip, (2, 64, 96, 3) uint8 each."""
    clip = render_clip(sample_scene("complex", 1), 2, strength=4.0)
    return tuple(np.rint(view * 255).astype(np.uint8) for view in (clip.left, clip.right))


def squeezed(frames: np.ndarray, width: int, height: int) -> np.ndarray:
    return np.stack([cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in frames])


@pytest.mark.parametrize(("layout", "axis"), [("full-sbs", 2), ("full-tb", 1)])
def test_full_layouts_are_taken_apart_exactly(views, layout, axis):
    left, right = unpack_views(PATH, np.concatenate(views, axis=axis), layout)
    np.testing.assert_array_equal(left, views[0])
    np.testing.assert_array_equal(right, views[1])


@pytest.mark.parametrize(("layout", "axis", "size"), [("half-sbs", 2, (48, 64)), ("half-tb", 1, (96, 32))])
def test_half_layouts_are_stretched_back(views, layout, axis, size):
    halves = [squeezed(view, *size) for view in views]
    left, right = unpack_views(PATH, np.concatenate(halves, axis=axis), layout)
    for view, unpacked in zip(views, (left, right), strict=True):
        assert unpacked.shape == view.shape
        assert np.abs(unpacked.astype(int) - view).mean() < 8
    assert not list(layout_doubts(left.shape, layout))


def test_eyes_can_be_exchanged(views):
    left, right = unpack_views(PATH, np.concatenate(views[::-1], axis=2), "full-sbs", swap_eyes=True)
    np.testing.assert_array_equal(left, views[0])
    np.testing.assert_array_equal(right, views[1])


@pytest.mark.parametrize(("layout", "side"), [("half-sbs", "width is 95"), ("full-tb", "height is 63")])
def test_pictures_without_two_halves_are_refused(views, layout, side):
    with pytest.raises(InputError, match=f"theirs.mp4: its {side} px and can't be halved, as layout {layout} needs"):
        unpack_views(PATH, views[0][:, :63, :95], layout)


@pytest.mark.parametrize(
    ("shape", "layout", "doubt"),
    [
        ((16, 1080, 960, 3), "full-sbs", "each view is 960 x 1080 px .* looks squeezed; .* the layout may be half-sbs"),
        ((16, 540, 1920, 3), "full-tb", "each view is 1920 x 540 px .* looks stretched; .* the layout may be half-tb"),
        ((16, 1080, 3840, 3), "half-sbs", "looks stretched; if it is, the layout may be full-sbs"),
        ((16, 2160, 1920, 3), "half-tb", "looks squeezed; if it is, the layout may be full-tb"),
    ],
)
def test_views_of_an_odd_shape_are_doubted(shape, layout, doubt):
    (text,) = layout_doubts(shape, layout)
    assert re.search(doubt, text)


@pytest.mark.parametrize("shape", [(16, 1080, 1920, 3), (16, 256, 256, 3), (16, 320, 512, 3), (16, 800, 1920, 3)])
def test_views_of_usual_shapes_are_not(shape):
    assert not list(layout_doubts(shape, "full-sbs"))


def test_halves_that_are_no_two_views_are_doubted(views):
    assert not list(view_doubts(*views))
    one_picture = views[0]
    (text,) = view_doubts(one_picture[:, :, :48], one_picture[:, :, 48:])
    assert "do not look like two views of one scene" in text
    assert "check the layout of a packed video" in text


def test_likeness_ignores_a_shift_and_what_every_picture_has_in_common(views):
    shifted = np.roll(views[0], 4, axis=2)
    assert view_likeness(views[0], views[0]) == pytest.approx(1)
    assert view_likeness(views[0], shifted) > 0.7
    ramp = np.broadcast_to(np.linspace(0, 255, 64).astype(np.uint8)[None, :, None, None], (2, 64, 96, 3))
    assert view_likeness(ramp, ramp) is None
    assert not list(view_doubts(ramp, ramp))
