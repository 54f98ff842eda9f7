import math

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from stereozero.errors import InputError
from stereozero.metrics.fidelity import (
    frame_similarity,
    measure_fidelity,
    measure_masked_fidelity,
    number_of_scales,
    ssim_maps,
)

GREY = np.full((2, 32, 48, 3), 100, np.uint8)


def skimage_ssim(a, b, **options):
    return structural_similarity(
        a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255, channel_axis=-1, **options
    )


def test_psnr_of_a_known_error():
    target = GREY.copy()
    target[:, ::2] += 5
    target[:, 1::2] -= 5
    assert measure_fidelity(target, GREY).clip["psnr"] == pytest.approx(10 * math.log10(255**2 / 25))


def test_psnr_matches_scikit_image(coloured_frame):
    a, b = coloured_frame(64, 96)
    ours = measure_fidelity(a[None], b[None]).per_frame["psnr"][0]
    assert ours == pytest.approx(peak_signal_noise_ratio(a, b, data_range=255), abs=1e-9)


def test_clip_psnr_comes_from_the_mean_error_and_identical_frames_are_capped():
    target = GREY.copy()
    target[1] += 10
    result = measure_fidelity(target, GREY)
    assert result.per_frame["psnr"] == pytest.approx([100.0, 10 * math.log10(255**2 / 100)])
    assert result.clip["psnr"] == pytest.approx(10 * math.log10(255**2 / 50))
    assert "psnr: 1 of 2 frames are identical there, given as 100 dB" in result.notes


def test_identical_videos_are_perfect():
    clip = measure_fidelity(GREY, GREY).clip
    assert clip["psnr"] == 100
    assert clip["ssim"] == pytest.approx(1)
    assert clip["ms_ssim"] == pytest.approx(1)


@pytest.mark.parametrize("size", [(64, 96), (67, 93)])
def test_ssim_matches_scikit_image(coloured_frame, size):
    a, b = coloured_frame(*size)
    score, full_map = skimage_ssim(a, b, full=True)
    assert measure_fidelity(a[None], b[None]).clip["ssim"] == pytest.approx(score, abs=1e-10)
    np.testing.assert_allclose(ssim_maps(a, b).ssim, full_map, atol=1e-10)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((176, 192), 0.9300436924), ((192, 256), 0.9297959854)],  # pytorch-msssim 1.0.0 in float64
)
def test_ms_ssim_matches_pytorch_msssim(coloured_frame, size, expected):
    a, b = coloured_frame(*size)
    assert frame_similarity(a, b, scales=5)[1] == pytest.approx(expected, abs=1e-6)


def test_small_frames_use_fewer_scales_and_say_so(coloured_frame):
    a, b = coloured_frame(64, 96)
    result = measure_fidelity(a[None], b[None])
    assert result.clip["ms_ssim_scales"] == 3
    assert any(text.startswith("ms_ssim: frames have room for 3 scales") for text in result.notes)
    assert 0 < result.clip["ms_ssim"] < 1


@pytest.mark.parametrize(("side", "scales"), [(11, 1), (21, 1), (22, 2), (64, 3), (175, 4), (176, 5), (2000, 5)])
def test_number_of_scales(side, scales):
    assert number_of_scales(side, 2 * side) == scales


def test_masked_scores_see_only_the_mask(coloured_frame):
    truth, damaged = coloured_frame(64, 96)
    mask = np.zeros((1, 64, 96), bool)
    mask[:, :, :5] = True
    target = truth.copy()
    target[:, :5] = damaged[:, :5]
    inside = measure_masked_fidelity(target[None], truth[None], mask).clip
    outside = measure_masked_fidelity(target[None], truth[None], np.roll(mask, 40, axis=2)).clip
    error = (target[:, :5].astype(float) - truth[:, :5]) ** 2
    assert inside["psnr_masked"] == pytest.approx(10 * math.log10(255**2 / error.mean()))
    assert inside["mask_share"] == pytest.approx(100 * 5 / 96)
    assert outside["psnr_masked"] == 100
    assert outside["ssim_masked"] == pytest.approx(1)
    full_map = skimage_ssim(target, truth, full=True)[1]
    assert inside["ssim_masked"] == pytest.approx(full_map[:, :5].mean(), abs=1e-10)


def test_full_mask_gives_plain_psnr(coloured_frame):
    a, b = coloured_frame(64, 96)
    masked = measure_masked_fidelity(a[None], b[None], np.ones((1, 64, 96), bool))
    assert masked.clip["psnr_masked"] == pytest.approx(measure_fidelity(a[None], b[None]).clip["psnr"])


def test_empty_masks_are_undefined_and_do_not_weigh():
    mask = np.zeros((2, 32, 48), bool)
    mask[1, :4] = True
    result = measure_masked_fidelity(GREY + np.uint8(3), GREY, mask)
    assert result.per_frame["psnr_masked"][0] is None
    assert result.clip["psnr_masked"] == pytest.approx(10 * math.log10(255**2 / 9))
    assert "psnr_masked, ssim_masked: undefined in 1 of 2 frames (the mask is empty)" in result.notes
    assert measure_masked_fidelity(GREY, GREY, mask & False).clip["ssim_masked"] is None


def test_frames_smaller_than_the_window_are_refused():
    with pytest.raises(InputError, match="at least 11"):
        measure_fidelity(GREY[:, :10], GREY[:, :10])
