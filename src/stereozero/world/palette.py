"""Colours with names: strong ones for objects, muted ones for backdrops, so that objects stand out."""

import numpy as np

Colour = tuple[float, float, float]

OBJECT_COLOURS: dict[str, Colour] = {
    "red": (0.86, 0.10, 0.12),
    "green": (0.08, 0.62, 0.22),
    "blue": (0.10, 0.28, 0.88),
    "yellow": (0.98, 0.85, 0.10),
    "orange": (0.98, 0.50, 0.06),
    "purple": (0.50, 0.15, 0.68),
    "pink": (0.98, 0.48, 0.72),
    "cyan": (0.10, 0.80, 0.90),
}
"""Main colours of objects, RGB in [0, 1]."""

BACKDROP_COLOURS: dict[str, Colour] = {
    "grey": (0.52, 0.53, 0.54),
    "white": (0.86, 0.86, 0.83),
    "black": (0.15, 0.15, 0.17),
    "brown": (0.42, 0.29, 0.20),
    "beige": (0.80, 0.70, 0.54),
    "teal": (0.22, 0.42, 0.42),
    "navy": (0.15, 0.20, 0.36),
}
"""Main colours of walls and floors, RGB in [0, 1]."""


def mixed(colour: Colour, other: Colour, share: float) -> Colour:
    """Colour with a share in [0, 1] of another colour."""
    return tuple(float(a + share * (b - a)) for a, b in zip(colour, other, strict=True))


def difference(first: Colour, second: Colour) -> float:
    """Euclidean distance of two RGB triples, 0 to 1.73."""
    return float(np.linalg.norm(np.subtract(first, second)))
