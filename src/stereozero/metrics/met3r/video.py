"""MEt3R of a video: each frame's two views are a pair, scored in batches of pairs."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as nnf
from torch import Tensor

from stereozero.metrics.checks import Side
from stereozero.metrics.clip import blank_frames
from stereozero.metrics.clip_pair import ClipPair
from stereozero.metrics.met3r.columns import DEFAULTS, SCORES, Met3rParameters
from stereozero.metrics.met3r.matching import StereoMatching
from stereozero.metrics.met3r.score import Met3r
from stereozero.metrics.result import MetricResult, mean_of_defined, note, undefined_notes


@dataclass(frozen=True)
class SizeRule:
    """To which size frames are brought before they are scored.

    Args:
        factor: what both sides must be multiples of, for geometry and features alike [px].
        smallest_side: what both sides must reach [px].
        shorter_side: to which the shorter side is brought first, longer in proportion; None leaves the size [px].
    """

    factor: int
    smallest_side: int = 1
    shorter_side: int | None = None

    def fit(self, height: int, width: int) -> tuple[int, int]:
        """Return the size for frames of height x width.

        Each side becomes the multiple of the factor that is nearest after scaling, at least the smallest allowed. The
        aspect changes by that rounding alone; nothing is cropped or padded.
        """
        scale = self.shorter_side / min(height, width) if self.shorter_side else 1.0
        least = math.ceil(self.smallest_side / self.factor) or 1
        rows, columns = (max(least, round(side * scale / self.factor)) for side in (height, width))
        return rows * self.factor, columns * self.factor


@dataclass(frozen=True)
class VideoScorer:
    """MEt3R with its networks, ready for videos.

    Args:
        score: of a batch of pairs.
        size: of the frames.
        batch: pairs at a time.
        device: where it computes.
    """

    score: Met3r
    size: SizeRule
    batch: int = 8
    device: str = "cpu"

    def for_target(self, side: Side) -> "VideoScorer":
        """Return the scorer for a target view of that eye; only the pair's own disparity depends on it."""
        if not isinstance(self.score.geometry, StereoMatching):
            return self
        return replace(self, score=replace(self.score, geometry=StereoMatching(side)))


def measure_met3r(pair: ClipPair, scorer: VideoScorer, parameters: Met3rParameters = DEFAULTS) -> MetricResult:
    """Score the consistency of the two views, frame by frame.

    Frames where both views are of one colour are undefined: there is nothing to compare.

    Args:
        pair: the views; with the geometry "stereo" they must be rectified.
        scorer: the networks.
        parameters: frozen choices.

    Returns:
        The columns of `SCORES`, undefined (NaN, with a note) where nothing overlaps.
    """
    own = scorer.for_target(pair.target_side)
    columns = np.concatenate([_score_batch(images, own) for images in _batches(pair, own)], axis=1)  # (3, F)
    columns *= np.array([parameters.scale, parameters.scale, 100])[:, None]
    blank = blank_frames(pair.source) & blank_frames(pair.target)
    columns[:2, blank] = np.nan
    per_frame = dict(zip((score.name for score in SCORES), columns, strict=True))
    notes = [*_undefined(per_frame, blank), *_resized(pair, own.size)]
    return MetricResult.from_values(per_frame, {name: mean_of_defined(v) for name, v in per_frame.items()}, notes)


def _batches(pair: ClipPair, scorer: VideoScorer) -> Iterator[Tensor]:
    """Yield (B, 2, 3, H, W) in [-1, 1], source and target, of the size that the networks take."""
    size = scorer.size.fit(*pair.source.shape[1:3])
    for start in range(0, len(pair.source), scorer.batch):
        part = slice(start, start + scorer.batch)
        views = torch.from_numpy(np.stack([pair.source[part], pair.target[part]], axis=1))  # (B, 2, H, W, 3) uint8
        yield _resize(views.permute(0, 1, 4, 2, 3).to(scorer.device).float() / 255, size) * 2 - 1


def _resize(views: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring (B, 2, 3, H, W) in [0, 1] to a size, bicubically and filtered."""
    if views.shape[-2:] == size:
        return views
    resized = nnf.interpolate(views.flatten(0, 1), size, mode="bicubic", antialias=True)  # (2 B, 3, h, w)
    return resized.clamp(0, 1).unflatten(0, views.shape[:2])


def _score_batch(images: Tensor, scorer: VideoScorer) -> np.ndarray:
    """Return symmetric score, score of one way and overlap: (3, B) float64."""
    there, back = scorer.score.both_ways(images)
    both = (there.score + back.score) / 2  # NaN where either way is
    overlap = (there.overlap + back.overlap) / 2
    return torch.stack([both, there.score, overlap]).double().cpu().numpy()


def _undefined(per_frame: dict[str, np.ndarray], blank: np.ndarray) -> list[str]:
    compared = [score.name for score in SCORES[:2]]
    reason = "no pixel of one view is shown in the other, by the geometry that was found"
    if blank.any():
        reason += f"; in {int(blank.sum())} of them both views are of one colour"
    if blank.all():
        reason = "both views are of one colour"
    return [text for name in compared for text in undefined_notes([name], per_frame[name], reason)]


def _resized(pair: ClipPair, rule: SizeRule) -> list[str]:
    given = tuple(pair.source.shape[1:3])
    size = rule.fit(*given)
    if size == given:
        return []
    names = [score.name for score in SCORES]
    return [note(names, f"frames of {given[0]} x {given[1]} px (height x width) were scored at {size[0]} x {size[1]}")]
