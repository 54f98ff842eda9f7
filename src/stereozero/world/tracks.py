"""Tracks: how objects move over the screen, in image widths about the image centre."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from stereozero.world.scenes import DIRECTIONS

Point = tuple[float, float]

PACES = ("varied", "even")
"""How fast things move. "varied": each at a speed of its own, and objects beside the main one may move and turn too,
which no caption tells. "even": whatever moves does so at the middle of those speeds, and only the main object and the
camera move. So a first frame and a caption tell all of an even clip that there is to tell."""

_STEP = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1), "towards": (0, 0), "away": (0, 0)}


@dataclass(frozen=True)
class Track:
    """A straight way over the screen.

    Attributes:
        start: X, Y at the start of the clip.
        end: the same at its end.
        radius: of the object on the screen.
        direction: one of ``DIRECTIONS``, or "still".
        follows_camera: whether ``end`` is where the moved camera sees the object; otherwise both ends are as seen
            by the camera of the first frame.
    """

    start: Point
    end: Point
    radius: float
    direction: str
    follows_camera: bool

    @property
    def changes_depth(self) -> bool:
        """Whether the object comes closer or goes away."""
        return self.direction in ("towards", "away")

    def clearance(self, x: float, y: float) -> float:
        """Distance of a point from the object's outline at the start, the middle or the end, whichever is least."""
        way = np.array([self.start, np.add(self.start, self.end) / 2, self.end])
        return float(np.hypot(way[:, 0] - x, way[:, 1] - y).min()) - self.radius


def amount(rng: np.random.Generator, low: float, high: float, pace: str) -> float:
    """How far something moves: drawn from a range or, at an even pace, its middle; a number is drawn either way."""
    drawn = rng.uniform(low, high)
    return drawn if pace == "varied" else (low + high) / 2


def main_track(rng: np.random.Generator, radius: float, pace: str) -> Track:
    """A long way across the middle of the screen in a random direction."""
    direction = DIRECTIONS[rng.integers(len(DIRECTIONS))]
    dx, dy = _STEP[direction]
    sideways = bool(dx)
    length = amount(rng, 0.34, 0.46, pace) if sideways else amount(rng, 0.24, 0.30, pace)
    x = rng.uniform(-0.05, 0.05) if sideways else rng.uniform(-0.25, 0.25)
    y = rng.uniform(-0.10, 0.10) if sideways else rng.uniform(-0.02, 0.02)
    start = (x - dx * length / 2, y - dy * length / 2)
    end = (x + dx * length / 2, y + dy * length / 2)
    return Track(start, end, radius, direction, follows_camera=True)


def side_track(rng: np.random.Generator, place: Point, radius: float, pace: str) -> Track:
    """An object beside the main one: it rests in the world or, at a varied pace, may move a little in any direction."""
    resting = Track(place, place, radius, "still", follows_camera=False)
    if rng.random() < 0.6:
        return resting
    direction = DIRECTIONS[rng.integers(4)]
    dx, dy = _STEP[direction]
    length = rng.uniform(0.08, 0.15) if dx else rng.uniform(0.06, 0.10)
    if pace == "even":
        return resting
    start = (place[0] - dx * length / 2, place[1] - dy * length / 2)
    end = (place[0] + dx * length / 2, place[1] + dy * length / 2)
    return Track(start, end, radius, direction, follows_camera=True)


def free_place(rng: np.random.Generator, taken: Iterable[Track], radius: float) -> Point:
    """The best of ten random places for an object of some radius: as clear of the tracks already taken as may be."""
    x, y = rng.uniform(-0.42, 0.42, 10), rng.uniform(-0.21, 0.21, 10)
    tracks = list(taken)
    clear = [min(track.clearance(*place) for track in tracks) for place in zip(x, y, strict=True)]
    best = int(np.argmax(clear)) if min(clear) < radius else 0
    return float(x[best]), float(y[best])
