"""Tracks: how objects move over the screen, in image widths about the image centre."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from stereozero.world.scenes import DIRECTIONS

Point = tuple[float, float]

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


def main_track(rng: np.random.Generator, radius: float) -> Track:
    """A long way across the middle of the screen in a random direction."""
    direction = DIRECTIONS[rng.integers(len(DIRECTIONS))]
    dx, dy = _STEP[direction]
    sideways = bool(dx)
    length = rng.uniform(0.34, 0.46) if sideways else rng.uniform(0.24, 0.30)
    x = rng.uniform(-0.05, 0.05) if sideways else rng.uniform(-0.25, 0.25)
    y = rng.uniform(-0.10, 0.10) if sideways else rng.uniform(-0.02, 0.02)
    start = (x - dx * length / 2, y - dy * length / 2)
    end = (x + dx * length / 2, y + dy * length / 2)
    return Track(start, end, radius, direction, follows_camera=True)


def side_track(rng: np.random.Generator, place: Point, radius: float) -> Track:
    """An object beside the main one: it rests in the world, or moves a little to the left, right, up or down."""
    if rng.random() < 0.6:
        return Track(place, place, radius, "still", follows_camera=False)
    direction = DIRECTIONS[rng.integers(4)]
    dx, dy = _STEP[direction]
    length = rng.uniform(0.08, 0.15) if dx else rng.uniform(0.06, 0.10)
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
