"""Adaptive dissolving: how far a clip's depth is dissolved follows from the clip itself.

Dissolving is to take detail away and to keep the layout. Which step still keeps it differs from scene to scene: the
paper finds t = 40 best for simple scenes and t = 20 for complex ones (its Table 4), and names a choice per scene as
future work. What tells the scenes apart is the agreement of a level with the estimate that it starts from. At the
higher steps the network guesses from the frames alone; its guess of a few large objects is as good as the estimate,
and that of a cluttered scene is another layout. So the rule is: the strongest of the paper's steps up to which every
level still explains so much of the estimate's variance, 90 % unless the variant says otherwise. If not even the
weakest does, the depth stays as it was estimated.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from stereozero.depth.dissolve import PAPER_STEPS
from stereozero.depth.estimator import DepthEstimate


@dataclass(frozen=True, eq=False)
class AdaptiveLevel:
    """The level that was chosen for a clip.

    Attributes:
        step: its dissolve step; None where the estimate is left as it is.
        estimate: its depth.
        agreements: dissolve step -> its agreement with the estimate, of all steps that were tried, weakest first.
    """

    step: int | None
    estimate: DepthEstimate
    agreements: dict[int, float]


def choose_level(level: Callable[[int | None], DepthEstimate], least: float) -> AdaptiveLevel:
    """Dissolve further and further, until the layout is lost.

    Args:
        level: from a dissolve step to the depth at it; of None, the estimate that is dissolved.
        least: agreement that a level needs, above 0 and at most 1; see :func:`agreement`.
    """
    undissolved = level(None)
    chosen = AdaptiveLevel(None, undissolved, {})
    for step in PAPER_STEPS:
        dissolved = level(step)
        agreements = {**chosen.agreements, step: agreement(undissolved.values, dissolved.values)}
        if agreements[step] < least:
            return replace(chosen, agreements=agreements)
        chosen = AdaptiveLevel(step, dissolved, agreements)
    return chosen


def agreement(one: Tensor, other: Tensor) -> float:
    """Return the share of one depth's variance over the clip that another explains, in [0, 1].

    It is the squared correlation, hence after the best scale and shift; 0 for depths that run against each other or
    have no variance.

    Args:
        one, other: (F, H, W), of any scale.
    """
    pair = torch.stack([one.flatten(), other.flatten()]).double()  # (2, F * H * W)
    centred = pair - pair.mean(dim=1, keepdim=True)  # (2, F * H * W)
    size = centred.norm(dim=1).prod()
    correlation = float(centred.prod(dim=0).sum() / size) if size > 0 else 0.0
    return max(correlation, 0.0) ** 2
