"""CLIP-T and CLIP-F: cosines of CLIP's embeddings of frames with the prompt, and of the two views with each other.

Defined as the package clip-score 0.1.1 computes them, which the paper cites: 100 times the cosine, mean over frames.
That package prepares frames as OpenAI's CLIP does: the short side to the model's size, then a centre crop, which
sees the middle 56 % of a 576 x 1024 frame. So each score also comes as a variant with its own column in which the whole
frame is squeezed to a square. Unlike the package, which multiplies with the model's learned scale (100 in OpenAI's
models), the factor is always 100; and a prompt that is too long is cut and said so, where the package fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Protocol

import numpy as np

from stereozero.metrics.clip_pair import ClipPair
from stereozero.metrics.result import MetricResult, Score, note

VERSION = 1
Preparation = Literal["crop", "squeeze"]
_BLANK_LEVELS = 2  # a frame whose levels differ by no more shows nothing


@dataclass(frozen=True)
class ClipParameters:
    """Frozen choices of the CLIP scores.

    Args:
        scale: Factor of the cosines.
    """

    scale: float = 100.0


DEFAULTS = ClipParameters()
TEXT_SCORES = (
    Score(
        "clip_text",
        "cosine x 100",
        "higher",
        "CLIP-T: likeness of the target view's frames and the prompt, centre crop as in clip-score 0.1.1, mean over "
        "all frames. Says nothing about stereo.",
        "clip_text_x100_target_all_frames_crop",
    ),
    Score(
        "clip_text_squeezed",
        "cosine x 100",
        "higher",
        "CLIP-T of the target view with whole frames, squeezed to a square, in place of the centre crop; mean over all "
        "frames.",
        "clip_text_x100_target_all_frames_squeezed",
    ),
    Score(
        "clip_text_source",
        "cosine x 100",
        "none",
        "CLIP-T of the source view (centre crop), mean over all frames. No stereo method makes that view: it is what "
        "CLIP-T of the target is to be compared with.",
        "clip_text_x100_source_all_frames_crop",
    ),
)
FRAME_SCORES = (
    Score(
        "clip_frame",
        "cosine x 100",
        "higher",
        "CLIP-F: likeness of the target and the source view, frame by frame, centre crop as in clip-score 0.1.1, mean "
        "over all frames. Rewards doing nothing: a copy of the source scores 100.",
        "clip_frame_x100_all_frames_crop",
    ),
    Score(
        "clip_frame_squeezed",
        "cosine x 100",
        "higher",
        "CLIP-F of the target and the source view with whole frames, squeezed to a square, in place of the centre "
        "crop; mean over all frames. A copy of the source scores 100.",
        "clip_frame_x100_all_frames_squeezed",
    ),
)


class Encoder(Protocol):
    """A CLIP model. Embeddings are float64 arrays of length 1."""

    def embed_frames(self, video: np.ndarray, preparation: Preparation) -> np.ndarray:
        """Return (F, E) embeddings of (F, H, W, 3) uint8 RGB."""

    def embed_text(self, text: str) -> np.ndarray:
        """Return the (E,) embedding of a text, cut where it is too long."""

    def excess_tokens(self, text: str) -> int:
        """Return how many tokens of a text are cut off."""


def measure_clip_text(pair: ClipPair, encoder: Encoder, parameters: ClipParameters = DEFAULTS) -> MetricResult:
    """Compare both views with the prompt.

    Args:
        pair: With a prompt.
        encoder: The CLIP model.
        parameters: Frozen choices.

    Returns:
        The columns of `TEXT_SCORES`.
    """
    text = encoder.embed_text(pair.prompt)  # (E,)
    views = {
        "clip_text": _embed(pair, encoder, "target", "crop"),
        "clip_text_squeezed": _embed(pair, encoder, "target", "squeeze"),
        "clip_text_source": _embed(pair, encoder, "source", "crop"),
    }
    per_frame = {name: parameters.scale * (frames @ text) for name, frames in views.items()}
    excess = encoder.excess_tokens(pair.prompt)
    notes = (
        [note(per_frame, f"the prompt is too long for CLIP, its last {excess} tokens are not used")] if excess else []
    )
    return _mean_over_frames(per_frame, notes)


def measure_clip_frame(pair: ClipPair, encoder: Encoder, parameters: ClipParameters = DEFAULTS) -> MetricResult:
    """Compare the two views with each other.

    Args:
        pair: The views.
        encoder: The CLIP model.
        parameters: Frozen choices.

    Returns:
        The columns of `FRAME_SCORES`.
    """
    preparations: dict[str, Preparation] = {"clip_frame": "crop", "clip_frame_squeezed": "squeeze"}
    per_frame = {
        name: parameters.scale
        * (_embed(pair, encoder, "source", preparation) * _embed(pair, encoder, "target", preparation)).sum(axis=1)
        for name, preparation in preparations.items()
    }
    blank = int((blank_frames(pair.source) & blank_frames(pair.target)).sum())
    remark = f"both views are of one colour in {blank} of {len(pair.source)} frames, which CLIP finds alike"
    return _mean_over_frames(per_frame, [note(per_frame, remark)] if blank else [])


def blank_frames(video: np.ndarray) -> np.ndarray:
    """Tell which frames of (F, H, W, 3) uint8 show nothing but one colour, such as black: (F,) bool."""
    flat = video.reshape(len(video), -1, 3)
    return ((flat.max(axis=1).astype(int) - flat.min(axis=1)) <= _BLANK_LEVELS).all(axis=1)


def _mean_over_frames(per_frame: dict[str, np.ndarray], notes: list[str]) -> MetricResult:
    clip = {name: float(np.mean(values)) for name, values in per_frame.items()}
    return MetricResult.from_values(per_frame, clip, notes)


@lru_cache(maxsize=4)  # both views of a clip, both preparations: CLIP-T and CLIP-F share them
def _embed(pair: ClipPair, encoder: Encoder, view: Literal["source", "target"], preparation: Preparation) -> np.ndarray:
    return encoder.embed_frames(getattr(pair, view), preparation)
