"""Warping latents: what happens to signal, noise and blanks."""

import numpy as np
import pytest
import torch

from stereozero.diffusion.noise import seeded_noise
from stereozero.diffusion.schedule import NoiseSchedule, add_noise, ddim_schedule
from stereozero.stereo.latent_warp import (
    PixelWarp,
    ProgressiveWarp,
    SubcellWarp,
    WholeCellWarp,
    blank_cells,
    latent_disparity,
    signal_at,
    warp_noise,
    warp_signal,
)
from stereozero.stereo.warp import source_positions

SHAPE = (4, 3, 24, 40)  # C, F, h, w


@pytest.fixture(scope="module")
def schedule():
    backbone = NoiseSchedule.scaled_linear("v_prediction", zero_terminal_snr=True, base_scale=0.7)
    return ddim_schedule(backbone, 20)


@pytest.fixture(scope="module")
def ramp():
    """A slanted surface: shifts of 0 to 2 cells at 5 percent."""
    return torch.linspace(0, 1, 40).expand(3, 24, 40).contiguous()


def test_warped_noise_keeps_its_variance(ramp):
    noise = seeded_noise((64, *SHAPE[1:]), 1, "noise")
    positions = source_positions(ramp, 5.0)
    covered = positions >= 0
    assert float(warp_noise(noise, positions)[:, covered].var()) == pytest.approx(1.0, abs=0.02)
    interpolated = warp_signal(noise, positions)[:, covered]
    assert float(interpolated.var()) < 0.75  # what a network would take for a cleaner image


def test_subcell_warp_moves_the_signal_by_a_fraction(schedule):
    slope = torch.arange(40.0).expand(SHAPE).contiguous()
    step = 12
    source = signal_at(slope, schedule, step)
    half_a_cell = torch.full((3, 24, 40), 0.5)
    warped = SubcellWarp(half_a_cell, 2.5, slope, schedule)(source, step)  # 2.5 % of 40 cells is one
    expected = signal_at(slope + 0.5, schedule, step)
    torch.testing.assert_close(warped.image[..., 1:-1], expected[..., 1:-1])


def test_without_disparity_every_warp_is_the_identity(schedule):
    clean, noise = seeded_noise(SHAPE, 1, "clean"), seeded_noise(SHAPE, 1, "noise")
    step, flat = 9, torch.zeros(SHAPE[1:])
    source = add_noise(clean * float(schedule.scale[step]), noise, float(schedule.alpha_bar[step]))
    nothing = torch.zeros(SHAPE[1:], dtype=torch.bool)
    for warp in (
        WholeCellWarp(flat, 4.0),
        SubcellWarp(flat, 4.0, clean, schedule),
        PixelWarp(clean, nothing, flat, 4.0, clean, schedule),
    ):
        warped = warp(source, step)
        torch.testing.assert_close(warped.image, source, atol=1e-5, rtol=0)
        assert not warped.blank.any()


def test_pixel_warp_takes_its_signal_from_the_encoded_target(schedule):
    clean, target = torch.zeros(SHAPE), torch.ones(SHAPE)
    step, blank = 15, torch.zeros(SHAPE[1:], dtype=torch.bool)
    blank[:, :, :2] = True
    warped = PixelWarp(target, blank, torch.zeros(SHAPE[1:]), 4.0, clean, schedule)(torch.zeros(SHAPE), step)
    assert torch.equal(warped.blank, blank)
    assert (warped.image[..., :2] == 0).all()
    torch.testing.assert_close(warped.image[..., 2:], signal_at(target, schedule, step)[..., 2:])


def test_progressive_warping_takes_the_last_warp_that_has_begun(schedule):
    source = seeded_noise(SHAPE, 1, "noise")
    levels = {
        first: WholeCellWarp(torch.full(SHAPE[1:], share), 10.0) for first, share in ((0, 0.3), (5, 0.6), (9, 0.9))
    }
    warp = ProgressiveWarp(levels)
    for step, first in ((0, 0), (4, 0), (5, 5), (8, 5), (9, 9), (19, 9)):
        warped, expected = warp(source, step), levels[first](source, step)
        assert torch.equal(warped.image, expected.image)
        assert torch.equal(warped.blank, expected.blank)


def test_a_cell_with_one_blank_pixel_is_blank():
    blank = torch.zeros(1, 8, 8, dtype=torch.bool)
    blank[0, 3, 4] = True
    assert blank_cells(blank, 4)[0].tolist() == [[False, True], [False, False]]


def test_disparity_is_brought_to_cells_without_antialiasing():
    disparity = torch.from_numpy(np.arange(64, dtype=np.float32).reshape(1, 8, 8) / 64)
    # Half-pixel centres, factor 8: the mean of the central 2 x 2 pixels.
    expected = disparity[0, 3:5, 3:5].mean()
    assert latent_disparity(disparity, 1, 1).item() == pytest.approx(expected.item())
    assert latent_disparity(disparity, 1, 1, power=2.0).item() == pytest.approx(expected.item() ** 2)
