"""How far a disparity is from the true depth, where that is known. Only its shape counts, not its scale and shift."""

from __future__ import annotations

import numpy as np

from stereozero.metrics.result import Score

DEPTH_ERROR = Score(
    "depth_error",
    "1",
    "lower",
    "AbsRel of the disparity that the method was given: the mean of |aligned - true| / true over the clip's pixels, "
    "with 1 / depth as the true disparity and the clip's best scale and shift. 0 is exact.",
)


def relative_error(disparity: np.ndarray, depth: np.ndarray) -> float:
    """Return AbsRel on disparity of a clip, after alignment.

    Args:
        disparity: (F, H, W), of any scale and shift, larger is nearer.
        depth: (F, H, W), the true one, above 0. Its inverse is compared with, not a disparity in [0, 1], which has
            zeros to divide by.
    """
    truth = 1 / depth.astype(np.float64)  # (F, H, W)
    return float((np.abs(align(disparity, truth) - truth) / truth).mean())


def align(disparity: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return a disparity (F, H, W) with the scale and the shift that bring it nearest to the truth (F, H, W)."""
    terms = np.stack([disparity.ravel(), np.ones(disparity.size)], axis=1).astype(np.float64)  # (F * H * W, 2)
    (scale, shift), *_ = np.linalg.lstsq(terms, truth.ravel(), rcond=None)
    return scale * disparity + shift
