from typing import get_args

import numpy as np
import pytest
import torch

from stereozero.baselines.warp_fill import FILLS, WarpedClip, mirror, warp_fill
from stereozero.config.methods import WarpFill
from stereozero.errors import InputError

FRAMES, HEIGHT, WIDTH = 2, 24, 80
SHIFT = 8  # columns, of disparity 1
STRENGTH = 100 * SHIFT / WIDTH
RED, SPAN = (200, 20, 20), slice(30, 50)


def bar_before_a_wall(wall: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return frames (F, H, W, 3) and disparity (F, H, W): a red bar at disparity 1 before a wall (W, 3) at 0."""
    frames = np.broadcast_to(wall.astype(np.uint8), (FRAMES, HEIGHT, WIDTH, 3)).copy()
    frames[:, :, SPAN] = RED
    disparity = np.zeros((FRAMES, HEIGHT, WIDTH), np.float32)
    disparity[:, :, SPAN] = 1
    return frames, disparity


def ramp() -> np.ndarray:
    """Return a wall (W, 3) whose every column has another colour: green grows by 3 a column."""
    return np.stack([np.zeros(WIDTH), 3 * np.arange(WIDTH), np.full(WIDTH, 90)], axis=-1)


def random_clip(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return noise frames and rough disparity that leave many small holes."""
    rng = np.random.default_rng(seed)
    frames = rng.integers(1, 256, (FRAMES, HEIGHT, WIDTH, 3), dtype=np.uint8)
    return frames, rng.random((FRAMES, HEIGHT, WIDTH), dtype=np.float32)


def test_a_configuration_can_name_every_fill():
    assert get_args(WarpFill.model_fields["fill"].annotation) == tuple(FILLS)


@pytest.mark.parametrize("mode", ["whole", "subpixel"])
@pytest.mark.parametrize("fill", FILLS)
def test_a_fill_changes_blanks_only_and_leaves_none(fill, mode):
    frames, disparity = random_clip()
    marks = [warp_fill(frames, disparity, strength, fill, mode=mode, halo=0) for strength in (STRENGTH, -STRENGTH)]
    for result, strength in zip(marks, (STRENGTH, -STRENGTH), strict=True):
        assert result.target.shape == frames.shape
        assert result.target.dtype == np.uint8
        assert result.blank.shape == disparity.shape
        assert result.blank.dtype == bool
        assert result.blank.any()
        assert (result.target.max(-1) > 0).all()
        other = warp_fill(frames, disparity, strength, "background", mode=mode, halo=0)
        assert np.array_equal(result.target[~result.blank], other.target[~result.blank])


@pytest.mark.parametrize("fill", FILLS)
def test_a_row_without_any_value_is_filled_from_its_neighbours(fill):
    frames, disparity = random_clip()
    disparity[:] = 0
    disparity[:, 5:7] = 1  # at 100 % of the width these rows leave the frame
    result = warp_fill(frames, disparity, 100, fill)
    assert result.blank[:, 5:7].all()
    assert result.blank.sum() == FRAMES * 2 * WIDTH
    assert (result.target.max(-1) > 0).all()


@pytest.mark.parametrize("fill", FILLS)
def test_a_frame_without_any_value_becomes_black(fill):
    frames, disparity = random_clip()
    disparity[:] = 0
    disparity[1] = 1
    result = warp_fill(frames, disparity, 100, fill)
    assert np.array_equal(result.target[0], frames[0])
    assert result.blank[1].all()
    assert (result.target[1] == 0).all()


@pytest.mark.parametrize("fill", ["edge-stretch", "background"])
@pytest.mark.parametrize("mode", ["whole", "subpixel"])
def test_the_hole_beside_an_object_gets_the_background(fill, mode):
    frames, disparity = bar_before_a_wall(ramp())
    right = warp_fill(frames, disparity, STRENGTH, fill, mode=mode, halo=0)
    assert np.array_equal(right.blank[0, 0].nonzero()[0], np.arange(42, 50))  # right of the bar, which is now at 22-41
    assert (right.target[:, :, 22:42] == RED).all()
    assert (right.target[:, :, 42:50] == ramp()[50]).all()
    left = warp_fill(frames, disparity, -STRENGTH, fill, mode=mode, halo=0)
    assert np.array_equal(left.blank[0, 0].nonzero()[0], np.arange(30, 38))
    assert (left.target[:, :, 38:58] == RED).all()
    assert (left.target[:, :, 30:38] == ramp()[29]).all()


def test_mirror_continues_the_wall():
    frames, disparity = bar_before_a_wall(ramp())
    right = warp_fill(frames, disparity, STRENGTH, "mirror", halo=0)
    assert (right.target[:, :, 42:50] == ramp()[50:58][::-1]).all()
    left = warp_fill(frames, disparity, -STRENGTH, "mirror", halo=0)
    assert (left.target[:, :, 30:38] == ramp()[22:30][::-1]).all()


def test_mirror_reads_neither_holes_nor_nearer_things():
    frames = torch.arange(12).float().view(1, 1, 1, 12).expand(1, 3, 1, 12) / 12
    blank = torch.tensor([0, 0, 1, 1, 1, 1, 0, 0, 1, 0, 0, 0], dtype=torch.bool).view(1, 1, 12)
    disparity = torch.tensor([9, 9, 0, 0, 0, 0, 2, 2, 0, 8, 8, 8]).view(1, 1, 12) / 10
    filled = mirror(WarpedClip(frames=frames, blank=blank, disparity=disparity, strength=4.0))
    columns = (12 * filled[0, 0, 0]).round().int().tolist()
    # From the end at 6: columns 6 and 7, then 8 is a hole and 9 is nearer. At 8 the farther end is 7 for its disparity.
    assert columns == [0, 1, 6, 6, 7, 6, 6, 7, 7, 9, 10, 11]


def test_background_goes_by_disparity():
    """A hole between two surfaces that don't fit the strength's sign, as at a crack in a slope."""
    frames = torch.arange(5).float().view(1, 1, 1, 5).expand(1, 3, 1, 5) / 5
    blank = torch.tensor([0, 0, 1, 0, 0], dtype=torch.bool).view(1, 1, 5)
    disparity = torch.tensor([0.2, 0.2, 0, 0.3, 0.3]).view(1, 1, 5)
    clip = WarpedClip(frames=frames, blank=blank, disparity=disparity, strength=4.0)
    assert FILLS["background"](clip).frames[0, 0, 0, 2] == frames[0, 0, 0, 1]
    assert FILLS["edge-stretch"](clip).frames[0, 0, 0, 2] == frames[0, 0, 0, 3]


def test_the_halo_removes_an_objects_outline():
    wall = np.full((WIDTH, 3), 60)
    wall[50] = (130, 40, 40)  # half bar, half wall, and lying at the wall's depth
    frames, disparity = bar_before_a_wall(wall)
    kept = warp_fill(frames, disparity, STRENGTH, "background", halo=0)
    assert (kept.target[:, :, 42:51] == (130, 40, 40)).all()
    removed = warp_fill(frames, disparity, STRENGTH, "background", halo=1)
    assert (removed.target[:, :, 42:51] == 60).all()
    assert np.array_equal(removed.blank, kept.blank)


def test_a_crack_has_no_halo():
    frames, _ = random_clip()
    disparity = np.broadcast_to(np.linspace(1, 0, WIDTH, dtype=np.float32), (FRAMES, HEIGHT, WIDTH))
    plain, grown = (warp_fill(frames, disparity, STRENGTH, "background", mode="whole", halo=halo) for halo in (0, 1))
    assert plain.blank.any()
    assert np.array_equal(plain.target, grown.target)


@pytest.mark.parametrize("fill", FILLS)
def test_floating_point_frames(fill):
    frames, disparity = random_clip()
    expected = warp_fill(frames, disparity, STRENGTH, fill)
    for dtype in (np.float32, np.float64):
        result = warp_fill((frames / 255).astype(dtype), disparity, STRENGTH, fill)
        assert np.abs(result.target.astype(int) - expected.target).max() <= 1


@pytest.mark.parametrize("mode", ["whole", "subpixel"])
def test_frames_do_not_depend_on_each_other(mode):
    """Nor on being warped in groups."""
    rng = np.random.default_rng(1)
    frames = rng.integers(0, 256, (9, 6, 30, 3), dtype=np.uint8)
    disparity = rng.random((9, 6, 30), dtype=np.float32)
    together = warp_fill(frames, disparity, 10, "mirror", mode=mode)
    for k in range(9):
        alone = warp_fill(frames[k : k + 1], disparity[k : k + 1], 10, "mirror", mode=mode)
        assert np.array_equal(alone.target[0], together.target[k])


def test_read_only_and_flipped_arrays_are_fine(recwarn):
    frames, disparity = random_clip()
    expected = warp_fill(frames[:, ::-1].copy(), disparity[:, ::-1].copy(), STRENGTH, "background")
    frames.flags.writeable = disparity.flags.writeable = False
    result = warp_fill(frames[:, ::-1], disparity[:, ::-1], STRENGTH, "background")
    assert np.array_equal(result.target, expected.target)
    assert not recwarn.list


def changed(disparity: np.ndarray, value: float) -> np.ndarray:
    result = disparity.copy()
    result[0, 0, 0] = value
    return result


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fill": "blur"}, "fill is 'blur'; it must be one of edge-stretch, background, mirror, telea, navier-stokes"),
        ({"mode": "half"}, "warp mode is 'half'"),
        ({"strength": 200.0}, "strength is 200.0; it must lie in"),
        ({"halo": -1}, "halo is -1; it must be 0 or more"),
        ({"frames": np.zeros((2, 24, 80), np.uint8)}, r"frames have shape \(2, 24, 80\); it must be \(F, H, W, 3\)"),
        ({"frames": np.zeros((0, 24, 80, 3), np.uint8)}, r"frames have shape \(0, 24, 80, 3\)"),
        ({"frames": np.zeros((2, 24, 80, 3), np.int32)}, "frames are int32; they must be uint8, or floating point"),
        ({"frames": np.full((2, 24, 80, 3), 1.5)}, r"frames reach from 1.5 to 1.5; .* must lie in 0 \.\.\. 1"),
        ({"frames": np.full((2, 24, 80, 3), np.nan)}, "frames reach from nan to nan"),
        ({"disparity": np.zeros((3, 24, 80), np.float32)}, r"shape \(3, 24, 80\); the frames ask for \(2, 24, 80\)"),
        ({"disparity": changed(np.zeros((2, 24, 80)), np.nan)}, "disparity has 1 of 3840 values that are NaN"),
        ({"disparity": changed(np.zeros((2, 24, 80)), 1.5)}, "disparity reaches from 0 to 1.5"),
        ({"disparity": np.zeros((2, 24, 80), np.uint8)}, "disparity is torch.uint8; it must be floating point"),
    ],
)
def test_bad_input(change, message):
    frames, disparity = random_clip()
    good = {"frames": frames, "disparity": disparity, "strength": STRENGTH, "fill": "background"}
    with pytest.raises(InputError, match=message):
        warp_fill(**{**good, **change})
