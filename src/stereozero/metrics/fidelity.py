"""PSNR, SSIM and MS-SSIM of a target view against the true one.

SSIM is that of Wang, Bovik, Sheikh and Simoncelli, "Image Quality Assessment: From Error Visibility to Structural
Similarity", IEEE TIP 2004: Gaussian window of 11 pixels and standard deviation 1.5, K1 = 0.01, K2 = 0.03, population
variances, computed for each RGB channel; the score is the mean over pixels and channels. MS-SSIM is that of Wang,
Simoncelli and Bovik, "Multiscale Structural Similarity for Image Quality Assessment", Asilomar 2003. The tests hold
numbers from scikit-image (SSIM) and pytorch-msssim 1.0.0 (MS-SSIM). The maps are computed here because no library in
use gives the contrast-structure map that MS-SSIM needs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from stereozero.metrics.checks import check_mask, check_videos
from stereozero.metrics.result import MetricResult, Score, note, undefined_notes

VERSION = 1
LEVELS = 255.0


@dataclass(frozen=True)
class FidelityParameters:
    """Frozen choices of the fidelity scores.

    Args:
        psnr_cap: Largest PSNR reported [dB]. Identical videos have an infinite one, which neither JSON nor a mean can
            hold.
        window: Side of the SSIM window [px].
        sigma: Standard deviation of the SSIM window [px].
        k1: Stabiliser of the luminance term, relative to 255.
        k2: Stabiliser of the contrast-structure term, relative to 255.
        scale_weights: MS-SSIM exponents, from full size to the coarsest scale.
    """

    psnr_cap: float = 100.0
    window: int = 11
    sigma: float = 1.5
    k1: float = 0.01
    k2: float = 0.03
    scale_weights: tuple[float, ...] = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


DEFAULTS = FidelityParameters()

SCORES = (
    Score(
        "psnr",
        "dB",
        "higher",
        "Peak signal-to-noise ratio of the target view against the true one, over all pixels and RGB channels. "
        "The clip's value comes from its mean squared error, not from the mean of the frames' values. "
        "At most 100 dB, which is what identical videos get.",
    ),
    Score(
        "ssim",
        "1",
        "higher",
        "Structural similarity (Wang et al. 2004: Gaussian window 11 px, sigma 1.5) of the target view against the "
        "true one, mean over pixels whose window lies inside the frame and over RGB channels; 1 is identical.",
    ),
    Score(
        "ms_ssim",
        "1",
        "higher",
        "Multi-scale structural similarity (Wang et al. 2003) of the target view against the true one, mean over RGB "
        "channels. Frames under 176 px a side have room for fewer than five scales (ms_ssim_scales); the "
        "weights of those that fit are renormalised, so compare only values with the same number of scales.",
    ),
    Score("ms_ssim_scales", "scales", "none", "Number of scales that ms_ssim used: 5, or fewer for small frames."),
)

MASKED_SCORES = (
    Score(
        "psnr_masked",
        "dB",
        "higher",
        "PSNR against the true view over the pixels inside the mask (for example those that the source view does "
        "not show). The clip's value comes from the squared error of all masked pixels of the clip.",
    ),
    Score(
        "ssim_masked",
        "1",
        "higher",
        "Mean of the SSIM map against the true view over the pixels inside the mask; frame borders are mirrored, so "
        "that masks at a frame's edge count. The clip's value is the mean over all masked pixels of the clip.",
    ),
    Score("mask_share", "percent of pixels", "none", "Share of the frame that the mask covers."),
)


class SsimMaps(NamedTuple):
    """SSIM and its contrast-structure factor at every pixel, each (H, W, 3) float64 in [-1, 1]."""

    ssim: np.ndarray
    contrast_structure: np.ndarray


def measure_fidelity(target: np.ndarray, truth: np.ndarray, parameters: FidelityParameters = DEFAULTS) -> MetricResult:
    """Score a target view against the true one over all pixels.

    Args:
        target: (F, H, W, 3) uint8 RGB.
        truth: (F, H, W, 3) uint8 RGB.
        parameters: Frozen choices.

    Returns:
        The columns of `SCORES`.

    Raises:
        InputError: Not videos, shapes differ, or frames smaller than the SSIM window.
    """
    check_videos(parameters.window, target=target, truth=truth)
    errors = squared_errors(target, truth).mean(axis=(1, 2))  # (F,)
    scales = number_of_scales(target.shape[1], target.shape[2], parameters)
    similarity = [frame_similarity(a, b, scales, parameters) for a, b in zip(target, truth, strict=True)]
    ssim, ms_ssim = np.array(similarity).T
    per_frame = {
        "psnr": [psnr_from_mse(error, parameters.psnr_cap) for error in errors],
        "ssim": ssim,
        "ms_ssim": ms_ssim,
    }
    clip = {
        "psnr": psnr_from_mse(errors.mean(), parameters.psnr_cap),
        "ssim": ssim.mean(),
        "ms_ssim": ms_ssim.mean(),
        "ms_ssim_scales": scales,
    }
    return MetricResult.from_values(per_frame, clip, _fidelity_notes(errors, scales, parameters))


def measure_masked_fidelity(
    target: np.ndarray, truth: np.ndarray, mask: np.ndarray, parameters: FidelityParameters = DEFAULTS
) -> MetricResult:
    """Score a target view against the true one inside a mask only.

    Args:
        target: (F, H, W, 3) uint8 RGB.
        truth: (F, H, W, 3) uint8 RGB.
        mask: (F, H, W) bool, True where pixels count. Frames with an empty mask are undefined.
        parameters: Frozen choices.

    Returns:
        The columns of `MASKED_SCORES`.

    Raises:
        InputError: Not videos or no mask, shapes differ, or frames smaller than the SSIM window.
    """
    check_videos(parameters.window, target=target, truth=truth)
    check_mask(mask, target)
    counts = mask.sum(axis=(1, 2))  # (F,)
    errors = np.where(mask, squared_errors(target, truth), 0).sum(axis=(1, 2))  # (F,)
    ssim = np.array([_masked_ssim_sum(*frame, parameters) for frame in zip(target, truth, mask, strict=True)])
    per_frame_psnr = [
        psnr_from_mse(_ratio(error, count), parameters.psnr_cap) for error, count in zip(errors, counts, strict=True)
    ]
    per_frame = {
        "psnr_masked": per_frame_psnr,
        "ssim_masked": [_ratio(total, count) for total, count in zip(ssim, counts, strict=True)],
        "mask_share": 100 * mask.mean(axis=(1, 2)),
    }
    clip = {
        "psnr_masked": psnr_from_mse(_ratio(errors.sum(), counts.sum()), parameters.psnr_cap),
        "ssim_masked": _ratio(ssim.sum(), counts.sum()),
        "mask_share": 100 * mask.mean(),
    }
    notes = undefined_notes(("psnr_masked", "ssim_masked"), per_frame_psnr, "the mask is empty")
    notes += _identical_notes("psnr_masked", errors[counts > 0], parameters)
    return MetricResult.from_values(per_frame, clip, notes)


def squared_errors(target: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the squared difference of two uint8 videos, mean over channels, (F, H, W) float64 in levels²."""
    difference = target.astype(np.int32) - truth
    return (difference * difference).mean(axis=3)


def psnr_from_mse(mse: float, cap: float = DEFAULTS.psnr_cap) -> float:
    """Return the PSNR in dB for a mean squared error in levels², at most `cap`; NaN stays NaN."""
    if math.isnan(mse):
        return math.nan
    return min(cap, 10 * math.log10(LEVELS**2 / mse)) if mse > 0 else cap


def number_of_scales(height: int, width: int, parameters: FidelityParameters = DEFAULTS) -> int:
    """Return how many MS-SSIM scales fit: the coarsest frame must hold the SSIM window."""
    fitting = int(math.log2(min(height, width) / parameters.window)) + 1
    return min(len(parameters.scale_weights), fitting)


def ssim_maps(target: np.ndarray, truth: np.ndarray, parameters: FidelityParameters = DEFAULTS) -> SsimMaps:
    """Return SSIM at every pixel of one frame, with mirrored borders.

    Args:
        target: (H, W, 3), levels from 0 to 255.
        truth: (H, W, 3), levels from 0 to 255.
        parameters: Frozen choices.
    """
    a, b = target.astype(np.float64), truth.astype(np.float64)
    mean_a, mean_b = _blur(a, parameters), _blur(b, parameters)  # (H, W, 3)
    variances = _blur(a * a, parameters) - mean_a**2 + _blur(b * b, parameters) - mean_b**2
    covariance = _blur(a * b, parameters) - mean_a * mean_b
    c1, c2 = (parameters.k1 * LEVELS) ** 2, (parameters.k2 * LEVELS) ** 2
    contrast_structure = (2 * covariance + c2) / (variances + c2)
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return SsimMaps(luminance * contrast_structure, contrast_structure)


def frame_similarity(
    target: np.ndarray, truth: np.ndarray, scales: int, parameters: FidelityParameters = DEFAULTS
) -> tuple[float, float]:
    """Return SSIM and MS-SSIM of one frame (H, W, 3).

    MS-SSIM is the weighted product of the contrast-structure means of all scales but the coarsest, and of the SSIM
    mean of the coarsest, for each channel; negative means count as 0, as in pytorch-msssim.
    """
    weights = np.array(parameters.scale_weights[:scales]) / sum(parameters.scale_weights[:scales])
    a, b = target.astype(np.float64), truth.astype(np.float64)
    ssim, product = math.nan, np.ones(3)
    for scale, weight in enumerate(weights):
        maps = ssim_maps(a, b, parameters)
        means = [_interior(values, parameters).mean(axis=(0, 1)) for values in maps]  # 2 x (3,)
        if scale == 0:
            ssim = float(means[0].mean())
        factor = means[0] if scale == scales - 1 else means[1]
        product *= np.maximum(factor, 0) ** weight
        a, b = _halve(a), _halve(b)
    return ssim, float(product.mean())


def _blur(values: np.ndarray, parameters: FidelityParameters) -> np.ndarray:
    window = (parameters.window, parameters.window)
    return cv2.GaussianBlur(values, window, parameters.sigma, borderType=cv2.BORDER_REFLECT)


def _interior(values: np.ndarray, parameters: FidelityParameters) -> np.ndarray:
    """Cut off the pixels whose window reaches over the frame's border."""
    margin = parameters.window // 2
    return values[margin:-margin, margin:-margin]


def _halve(frame: np.ndarray) -> np.ndarray:
    """Average 2 x 2 blocks; an odd last row or column is repeated, as in Wang's own code."""
    height, width = frame.shape[:2]
    even = cv2.copyMakeBorder(frame, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    return cv2.resize(even, (even.shape[1] // 2, even.shape[0] // 2), interpolation=cv2.INTER_AREA)


def _masked_ssim_sum(target: np.ndarray, truth: np.ndarray, mask: np.ndarray, parameters: FidelityParameters) -> float:
    if not mask.any():
        return 0.0
    return float(ssim_maps(target, truth, parameters).ssim.mean(axis=2)[mask].sum())


def _ratio(total: float, count: int) -> float:
    return float(total) / int(count) if count else math.nan


def _fidelity_notes(errors: np.ndarray, scales: int, parameters: FidelityParameters) -> list[str]:
    notes = _identical_notes("psnr", errors, parameters)
    if scales < len(parameters.scale_weights):
        notes.append(note(["ms_ssim"], f"frames have room for {scales} scales; their weights are renormalised"))
    return notes


def _identical_notes(column: str, errors: np.ndarray, parameters: FidelityParameters) -> list[str]:
    identical = int((errors == 0).sum())
    remark = f"{identical} of {len(errors)} frames are identical there, given as {parameters.psnr_cap:g} dB"
    return [note([column], remark)] if identical else []
