"""Temporal fill on a clip whose background is known behind the object, because the object moves on."""

import numpy as np
import pytest
import torch

from stereozero.baselines.propagation import propagate
from stereozero.baselines.warp_fill import warp_fill

FRAMES, HEIGHT, WIDTH, SHIFT = 6, 48, 96, 6
STRENGTH = 100 * SHIFT / WIDTH


def textured(seed: int, height: int, width: int) -> np.ndarray:
    """Return a picture (H, W, 3) uint8 with detail of a few pixels' size."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.random((1, 3, height // 4 + 1, width // 4 + 1), dtype=np.float32))
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic", align_corners=True)
    return (smooth[0].movedim(0, -1).clamp(0, 1).numpy() * 255).astype(np.uint8)


def passing_object(pan: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return frames, disparity and the true right view: an object passes to the right before a wall that may pan."""
    wall, thing = textured(0, HEIGHT, WIDTH + 40), textured(1, 24, 16)
    frames = np.stack([wall[:, 20 + pan * number :][:, :WIDTH] for number in range(FRAMES)])
    truth, disparity = frames.copy(), np.zeros((FRAMES, HEIGHT, WIDTH), np.float32)
    for number in range(FRAMES):
        left = 20 + 7 * number
        frames[number, 12:36, left : left + 16] = thing
        truth[number, 12:36, left - SHIFT : left - SHIFT + 16] = thing
        disparity[number, 12:36, left : left + 16] = 1
    return frames, disparity, truth


@pytest.mark.parametrize("pan", [0, 2])
def test_holes_show_what_other_frames_saw_there(pan):
    frames, disparity, truth = passing_object(pan)
    result = warp_fill(frames, disparity, STRENGTH, "temporal", halo=0)
    stretched = warp_fill(frames, disparity, STRENGTH, "edge-stretch", halo=0).target
    error, before = (np.abs(view.astype(int) - truth)[result.blank].mean() for view in (result.target, stretched))
    assert result.blank.any()
    assert error < before / 3
    assert np.array_equal(result.target[~result.blank], stretched[~result.blank])


def test_left_views_are_filled_as_well():
    frames, disparity, truth = (array[:, :, ::-1] for array in passing_object())
    result = warp_fill(frames, disparity, -STRENGTH, "temporal", halo=0)
    stretched = warp_fill(frames, disparity, -STRENGTH, "edge-stretch", halo=0).target
    error, before = (np.abs(view.astype(int) - truth)[result.blank].mean() for view in (result.target, stretched))
    assert error < before / 3


def test_what_stands_still_is_left_to_the_spatial_fill():
    frames, disparity, _ = passing_object()
    frames, disparity = frames[:1].repeat(FRAMES, 0), disparity[:1].repeat(FRAMES, 0)
    still = warp_fill(frames, disparity, STRENGTH, "temporal", halo=0).target
    assert np.array_equal(still, warp_fill(frames, disparity, STRENGTH, "edge-stretch", halo=0).target)


def test_nearer_things_in_other_frames_do_not_leak_into_the_background():
    guess = torch.zeros(2, 3, 32, 32)
    guess[1] = 1
    blank = torch.zeros(2, 32, 32, dtype=torch.bool)
    blank[0, :, 10:14] = True
    disparity = torch.zeros(2, 32, 32)
    columns = torch.arange(32).expand(2, 32, 32).clone()
    columns[blank] = 14
    disparity[1] = 0.5
    nearer = propagate(guess, blank, disparity, columns)
    assert torch.equal(nearer.frames, guess)
    assert torch.equal(nearer.unseen, blank)
    disparity[1] = 0.0
    found = propagate(guess, blank, disparity, columns)
    assert (found.frames[0, :, :, 10:14] == 1).all()
    assert not found.unseen.any()


@pytest.mark.parametrize("shape", [(1, 48, 96), (3, 16, 96)])
def test_single_frames_and_tiny_ones_keep_the_spatial_fill(shape):
    guess = torch.rand(shape[0], 3, *shape[1:])
    blank = torch.ones(shape, dtype=torch.bool)
    alone = propagate(guess, blank, torch.zeros(shape), torch.zeros(shape, dtype=torch.int64))
    assert alone.frames is guess
    assert alone.unseen is blank
