"""Everything about one clip that a metric may ask for."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from stereozero.metrics.checks import (
    Side,
    check_convergence,
    check_mask,
    check_side,
    check_strength,
    check_true_disparity,
    check_videos,
)
from stereozero.metrics.matching import Match, MatchParameters, match_views


@dataclass(frozen=True, eq=False)
class ClipPair:
    """A source view, a target view, and whatever truth is known about them.

    Args:
        source: (F, H, W, 3) uint8 RGB.
        target: (F, H, W, 3) uint8 RGB.
        truth: (F, H, W, 3) uint8 RGB, the true view from the target's position.
        true_disparity: (F, H, W) float on the source's grid, percent of width, positive in front of the screen, NaN
            where unknown.
        mask: (F, H, W) bool on the target's grid, True where the masked scores count.
        target_side: The target view's eye.
        convergence: Shift that delivery takes off every disparity [percent of width].
        prompt: What the videos are to show.
        strength: Largest shift that was asked for [percent of width], above 0 for either eye.

    Raises:
        InputError: A part has the wrong type, shape or range.
    """

    source: np.ndarray
    target: np.ndarray
    truth: np.ndarray | None = None
    true_disparity: np.ndarray | None = None
    mask: np.ndarray | None = None
    target_side: Side = "right"
    convergence: float = 0.0
    prompt: str | None = None
    strength: float | None = None
    _matches: dict[MatchParameters, Match] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        """Check every part."""
        check_videos(source=self.source, target=self.target)
        check_side(self.target_side)
        check_convergence(self.convergence)
        check_strength(self.strength)
        if self.truth is not None:
            check_videos(source=self.source, truth=self.truth)
        if self.true_disparity is not None:
            check_true_disparity(self.true_disparity, self.source)
        if self.mask is not None:
            check_mask(self.mask, self.target)

    @property
    def known(self) -> frozenset[str]:
        """Names of the optional parts that are there: "truth", "true_disparity", "mask", "prompt", "strength"."""
        parts = ("truth", "true_disparity", "mask", "prompt", "strength")
        return frozenset(name for name in parts if getattr(self, name) is not None)

    def match(self, parameters: MatchParameters) -> Match:
        """Return the stereo match of the views; it is computed once, several metrics use it."""
        if parameters not in self._matches:
            self._matches[parameters] = match_views(self.source, self.target, self.target_side, parameters)
        return self._matches[parameters]

    def at_convergence(self, convergence: float) -> ClipPair:
        """Return the pair with another convergence [percent of width]; stereo matches are kept."""
        other = replace(self, convergence=convergence)
        other._matches.update(self._matches)
        return other
