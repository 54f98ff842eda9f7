"""Figures of the embedded depth model on clips that it was not trained on.

Estimates are relative, so each clip's is first brought to the truth's scale and shift by least squares.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import torch

from stereozero.depth.depthcrafter import DepthCrafter
from stereozero.depth.depthcrafter_estimator import DepthCrafterEstimator
from stereozero.depth.dissolve import PAPER_STEPS, encode_disparity
from stereozero.metrics.depth_error import align, relative_error
from stereozero.world import KINDS, Clip
from stereozero.world.training.depth import SAMPLING
from stereozero.world.training.depth_data import video_of

Estimates = Sequence[np.ndarray]  # (F, H, W) float32 a clip


def estimate_clips(model: DepthCrafter, clips: Sequence[Clip]) -> dict[int | None, Estimates]:
    """Estimate the inverse depth of clips, not dissolved (None) and at the paper's dissolve steps."""
    estimator = DepthCrafterEstimator(model, SAMPLING)
    estimates: dict[int | None, list[np.ndarray]] = {step: [] for step in (None, *PAPER_STEPS)}
    for clip in clips:
        video = video_of(clip)  # (F, 3, H, W)
        latents = estimator.estimate_latents(video)
        for step, done in estimates.items():
            done.append(estimator.finish(video, latents, step).values.numpy())
    return estimates


def depth_figures(model: DepthCrafter, clips: Sequence[Clip], estimates: dict[int | None, Estimates]) -> dict:
    """Return the figures of estimates: means over clips, a kind of scene and all.

    ``abs_rel``: see :func:`~stereozero.metrics.depth_error.relative_error`; ``vae_limit`` is that of the true disparity
    after the VAE, ``knowing_nothing`` that of the same disparity everywhere. ``consistency``: see
    :func:`consistency_error`. ``dissolved``: the relative error at each dissolve step.
    """
    plain = estimates[None]
    coded = [through_vae(model, clip) for clip in clips]
    constant = [np.ones_like(clip.disparity) for clip in clips]
    return {
        "abs_rel": _means(_depth_error, plain, clips),
        "vae_limit": _means(_depth_error, coded, clips),
        "knowing_nothing": _means(_depth_error, constant, clips),
        "consistency": _means(consistency_error, plain, clips),
        "dissolved": {str(t): _means(_depth_error, estimates[t], clips) for t in PAPER_STEPS},
    }


def consistency_error(estimate: np.ndarray, clip: Clip) -> float:
    """Return how much the disparity of surface points changes from frame to frame where it should not.

    It is the mean of the absolute difference between the estimated and the true change along the true motion, over the
    points that both frames show, in disparities of [0, 1].
    """
    error = align(estimate, clip.disparity) - clip.disparity  # (F, H, W)
    changes = [error[t] - _sampled(error[t + 1], clip.flow[t]) for t in range(len(error) - 1)]  # (H, W) each
    seen = [_stays(clip, t) for t in range(len(error) - 1)]  # (H, W) bool each
    return float(np.abs(np.stack(changes))[np.stack(seen)].mean())


def through_vae(model: DepthCrafter, clip: Clip) -> np.ndarray:
    """Return a clip's true disparity, coded and decoded: (F, H, W)."""
    latents = encode_disparity(model, torch.tensor(clip.disparity), SAMPLING)  # (F, C, h, w)
    return model.decode(latents, SAMPLING).numpy()


def _depth_error(estimate: np.ndarray, clip: Clip) -> float:
    return relative_error(estimate, clip.depth)


def _means(measure: Callable[[np.ndarray, Clip], float], estimates: Estimates, clips: Sequence[Clip]) -> dict:
    values = [measure(estimate, clip) for estimate, clip in zip(estimates, clips, strict=True)]
    kinds = {kind: float(np.mean(values[index :: len(KINDS)])) for index, kind in enumerate(KINDS)}
    return {**kinds, "all": float(np.mean(values))}


def _sampled(picture: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Return a picture (H, W) at the places that a flow (H, W, 2) [px] leads to."""
    rows, columns = np.indices(picture.shape, dtype=np.float32)
    return cv2.remap(picture, columns + flow[..., 0], rows + flow[..., 1], cv2.INTER_LINEAR)


def _stays(clip: Clip, time: int) -> np.ndarray:
    """Return where a surface of one frame is still seen in the next, with its neighbours: (H, W) bool."""
    flow, next_ids = clip.flow[time], clip.layer_ids[time + 1].astype(np.int32)
    rows, columns = np.indices(next_ids.shape, dtype=np.float32)
    x, y = columns + flow[..., 0], rows + flow[..., 1]
    inside = (x >= 0) & (x <= clip.width - 1) & (y >= 0) & (y <= clip.height - 1)
    left, top = (np.floor(np.where(inside, place, 0)).astype(int) for place in (x, y))
    right, bottom = np.minimum(left + 1, clip.width - 1), np.minimum(top + 1, clip.height - 1)
    corners = [next_ids[row, column] for row in (top, bottom) for column in (left, right)]
    return inside & np.all([corner == clip.layer_ids[time] for corner in corners], axis=0)
