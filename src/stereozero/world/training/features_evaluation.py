"""Figures of the embedded feature models on clips that they were not trained on: do their scores mean something?"""

import itertools
from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from stereozero.metrics.clip import Preparation
from stereozero.metrics.clip_encoder import ClipEncoder
from stereozero.metrics.clip_pair import ClipPair
from stereozero.metrics.met3r.video import VideoScorer, measure_met3r
from stereozero.world import KINDS, SPLITS, render_clip, sample_scene
from stereozero.world.training.data import ClipPool, step_rng

DAMAGES = ("true", "shifted", "blurred", "other", "noise")
"""Right views from the best to the worst: what MEt3R is to find in this order."""

_ROWS = 1  # that a shifted view is moved down [px]
_BLUR = 3.0  # sigma of a blurred view [px]


def caption_retrieval(encoder: ClipEncoder, pool: ClipPool, preparation: Preparation, among: int = 20) -> float:
    """Return the share of middle frames whose own caption fits best among those of ``among`` clips."""
    frames = np.ascontiguousarray(pool.videos[:, pool.settings.frames // 2])  # (N, H, W, 3)
    texts = np.stack([encoder.embed_text(caption) for caption in pool.captions])  # (N, E)
    table = encoder.embed_frames(frames, preparation) @ texts.T  # (N, N)
    starts = range(0, len(table) - among + 1, among)
    blocks = [table[start : start + among, start : start + among] for start in starts]
    return float(np.mean([block.argmax(axis=1) == np.arange(among) for block in blocks]))


def held_out_pairs(clips: int, frames: int = 4, strength: float = 4.0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Render the left and right views, (F, 64, 96, 3) uint8 each, of held-out clips; the kinds of scene take turns."""
    seeds = SPLITS["held-out"]
    pairs = []
    for index in range(clips):
        clip = render_clip(sample_scene(KINDS[index % 2], seeds[index // 2]), frames, strength=strength)
        pairs.append(tuple(np.rint(view * 255).astype(np.uint8) for view in (clip.left, clip.right)))
    return pairs


def damaged_views(pairs: Sequence[tuple[np.ndarray, np.ndarray]], index: int) -> dict[str, np.ndarray]:
    """Return the right views of `DAMAGES` for one of some clips, (F, H, W, 3) uint8 each.

    ``shifted`` lies 1 px lower, ``blurred`` is blurred with a sigma of 3 px, ``other`` is the next clip's.
    """
    right = pairs[index][1]
    rng = step_rng(0, index)
    return {
        "true": right,
        "shifted": np.pad(right, ((0, 0), (_ROWS, 0), (0, 0), (0, 0)), mode="edge")[:, :-_ROWS],
        "blurred": np.stack([cv2.GaussianBlur(frame, (0, 0), _BLUR) for frame in right]),
        "other": pairs[(index + 1) % len(pairs)][1],
        "noise": rng.integers(0, 256, right.shape, dtype=np.uint8),
    }


def damage_scores(scorer: VideoScorer, pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[dict[str, float]]:
    """Return MEt3R of every kind of right view, a dictionary a clip; NaN where it is undefined."""
    return [
        {
            name: np.nan if (value := measure_met3r(ClipPair(left, view), scorer).clip["met3r"]) is None else value
            for name, view in damaged_views(pairs, index).items()
        }
        for index, (left, _) in enumerate(pairs)
    ]


def ranking_figures(scores: Sequence[Mapping[str, float]]) -> dict[str, float | dict[str, float]]:
    """Return how often the worse of two kinds of right view scores worse.

    Returns:
        "mean": of each kind's scores; "ordered": share of clips for every two kinds, as "true < blurred"; "all": share
        over all of them. An undefined score is never in order.
    """
    ordered = {
        f"{better} < {worse}": float(np.mean([clip[better] < clip[worse] for clip in scores]))
        for better, worse in itertools.combinations(DAMAGES, 2)
    }
    means = {name: float(np.nanmean([clip[name] for clip in scores])) for name in DAMAGES}
    return {"mean": means, "ordered": ordered, "all": float(np.mean(list(ordered.values())))}
