import pytest
import torch

from stereozero.depth.video_depth_anything.stitching import fit_scale_shift, stitch, window_frames

KEYFRAMES = [0, 12, 24, 25, 26, 27, 28, 29, 30, 31]
LENGTHS = [1, 2, 16, 22, 23, 31, 32, 33, 44, 45, 66, 67, 100]


def carried_windows(frames: int) -> list[list[int]]:
    """Return the frames of the windows as the official code finds them: it pads, and carries inputs along."""
    padded = [min(index, frames - 1) for index in range(frames + (22 - frames % 22) % 22 + 10)]
    windows: list[list[int]] = []
    for start in range(0, frames, 22):
        window = padded[start : start + 32]
        if windows:
            window[:10] = [windows[-1][position] for position in KEYFRAMES]
        windows.append(window)
    return windows


def stitch_step_by_step(depths: torch.Tensor, frames: int) -> torch.Tensor:
    """Stitch (windows, 32, H, W) as video_depth_anything_checkpoint.json.gz says it in words."""
    joined = list(depths[0])
    reference = [joined[0], joined[12]]
    for window in depths[1:]:
        design = torch.stack([window[:2].flatten(), torch.ones(window[:2].numel())], dim=1)  # (N, 2)
        solution = torch.linalg.lstsq(design, torch.stack(reference).flatten()[:, None]).solution
        aligned = (window * solution[0] + solution[1]).clamp_min(0)
        for i in range(8):
            joined[-8 + i] = (1 - i / 7) * joined[-8 + i] + i / 7 * aligned[2 + i]
        joined += list(aligned[10:])
        reference = [reference[0], aligned[12]]
    return torch.stack(joined[:frames])


@pytest.mark.parametrize("frames", LENGTHS)
def test_windows_are_the_official_ones(frames):
    assert window_frames(frames) == carried_windows(frames)


@pytest.mark.parametrize("frames", LENGTHS)
def test_windows_cover_the_clip(frames):
    windows = window_frames(frames)
    assert all(len(window) == 32 for window in windows)
    assert {index for window in windows for index in window} == set(range(frames))


@pytest.mark.parametrize("frames", [1, 23, 60, 100])
def test_stitching_is_the_official_one(frames):
    depths = torch.rand(len(window_frames(frames)), 32, 5, 6, generator=torch.Generator().manual_seed(0))
    expected = stitch_step_by_step(depths, frames)
    torch.testing.assert_close(stitch(list(depths), frames), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("frames", [33, 100])
def test_windows_of_any_scale_and_shift_become_one(frames):
    generator = torch.Generator().manual_seed(0)
    truth = 1 + torch.rand(frames, 5, 6, generator=generator)
    depths = [truth[window] for window in window_frames(frames)]
    for window in depths[1:]:
        scale, shift = torch.rand(2, generator=generator)
        window.mul_(0.2 + scale).add_(shift)
    torch.testing.assert_close(stitch(depths, frames), truth, rtol=1e-4, atol=1e-4)


def test_there_is_no_jump_between_windows():
    """Windows that disagree by a slope, which no scale or shift takes away, are joined without a step."""
    smooth = torch.linspace(1, 2, 67)[:, None, None] + torch.rand(1, 8, 9, generator=torch.Generator().manual_seed(0))
    depths = [
        smooth[window] + 0.3 * number * torch.linspace(0, 1, 9) for number, window in enumerate(window_frames(67))
    ]
    joined = stitch(depths, 67)
    abrupt = torch.cat([depths[0], depths[1][10:], depths[2][10:]])[:67]
    assert joined.diff(dim=0).abs().max() < 0.2 * abrupt.diff(dim=0).abs().max()


def test_a_fit():
    values = torch.tensor([1.0, 2.0, 4.0])
    scale, shift = fit_scale_shift(values, 3 * values - 1)
    assert scale == pytest.approx(3)
    assert shift == pytest.approx(-1)


@pytest.mark.parametrize("value", [0.0, 0.1, 1234.5])
def test_a_fit_of_constant_values_changes_nothing(value):
    assert fit_scale_shift(torch.full((100, 7), value), torch.rand(100, 7)) == (1, 0)
