"""How much of the disparity that was asked for is there, and a score that takes it into account.

Scores that only compare the two views reward doing nothing. `disparity_kept` says how much stereo was made at all, and
`met3r_stereo` lets MEt3R count for that share only. Both are this project's own; docs/scoring.md says where they fail.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from stereozero.metrics import matching
from stereozero.metrics.clip import blank_frames
from stereozero.metrics.clip_pair import ClipPair
from stereozero.metrics.matching import MatchParameters
from stereozero.metrics.result import MetricResult, Score, note

VERSION = f"1+matching{matching.VERSION}"


@dataclass(frozen=True)
class AchievedParameters:
    """Frozen choices.

    Args:
        matching: Choices of the stereo matching.
        farthest: Percentile of the disparity that stands for the scene's far end.
        nearest: Percentile of the disparity that stands for its near end.
    """

    matching: MatchParameters = field(default_factory=MatchParameters)
    farthest: float = 1.0
    nearest: float = 99.0


DEFAULTS = AchievedParameters()
SCORES = (
    Score(
        "disparity_kept",
        "percent of what was asked for",
        "higher",
        "Range of the disparity achieved (1 to 99 percentile, all frames of the clip) as a share of the strength asked "
        "for, at most 100. 0 for a copy of the source. A shift of the whole picture does not count.",
    ),
)
MET3R_STEREO = Score(
    "met3r_stereo",
    "percent",
    "higher",
    "Our own scalar: (100 - met3r_x100_symmetric_all_frames), times the share disparity_kept. 100 is perfect, a copy "
    "of the source scores 0.",
)


def measure_achieved(pair: ClipPair, parameters: AchievedParameters = DEFAULTS) -> MetricResult:
    """Compare the range of the disparity between the views with the strength asked for.

    Where nothing can be matched, nothing was achieved: 0, unless the source itself shows nothing.

    Args:
        pair: With the strength.
        parameters: Frozen choices.

    Returns:
        The columns of `SCORES`. A clip's value is that of all its pixels together: the strength asked for is a clip's
        largest shift, which not every frame has.
    """
    percent = pair.match(parameters.matching).percent  # (F, H, W)
    blank = blank_frames(pair.source)  # (F,)
    frames = [
        math.nan if empty else _kept(frame, pair, parameters) for frame, empty in zip(percent, blank, strict=True)
    ]
    clip = math.nan if blank.all() else _kept(percent, pair, parameters)
    remarks = []
    if blank.any():
        remarks.append(f"undefined in {int(blank.sum())} of {len(blank)} frames (the source is of one colour)")
    if clip == 0 and np.isnan(percent).all():
        remarks.append("0, because no pixel of the source could be found in the target")
    return MetricResult.from_values(
        {"disparity_kept": frames}, {"disparity_kept": clip}, [note(["disparity_kept"], text) for text in remarks]
    )


def _kept(percent: np.ndarray, pair: ClipPair, parameters: AchievedParameters) -> float:
    known = percent[~np.isnan(percent)]
    if not known.size:
        return 0.0
    far, near = np.percentile(known, [parameters.farthest, parameters.nearest])
    return float(min(100.0, 100 * (near - far) / pair.strength))


def stereo_score(met3r: float | None, kept: float | None) -> float | None:
    """Return the value of `MET3R_STEREO`, or None where a factor is undefined.

    Args:
        met3r: MEt3R x 100, symmetric, from 0 to 200.
        kept: `disparity_kept`, percent.
    """
    if met3r is None or kept is None:
        return None
    return max(0.0, 100 - met3r) * kept / 100
