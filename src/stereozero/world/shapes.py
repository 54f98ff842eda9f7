"""Planar shapes as signed distance functions.

A shape lives in local coordinates (u to the right, v downwards) and fits into the square [-1, 1] x [-1, 1]. Its
function returns the signed distance to the outline: negative inside, zero on the outline, and with a gradient of
length 1 almost everywhere, so that one division by the size of a pixel turns it into pixels.
"""

from collections.abc import Callable

import numpy as np

Distance = Callable[[np.ndarray, np.ndarray], np.ndarray]

PLANE = "plane"
HALF_PLANE = "half-plane"


def disc(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Disc of radius 0.95."""
    return np.sqrt(u * u + v * v) - np.float32(0.95)


def ring(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Ring between the radii 0.45 and 0.95."""
    return np.abs(np.sqrt(u * u + v * v) - np.float32(0.70)) - np.float32(0.25)


def square(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Upright square with half-side 0.82."""
    return np.maximum(np.abs(u), np.abs(v)) - np.float32(0.82)


def diamond(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Square on its corner."""
    return (np.abs(u) + np.abs(v) - np.float32(1.0)) * np.float32(0.70710678)


def triangle(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Equilateral triangle, point up."""
    side = np.float32(0.8660254) * np.abs(u) - np.float32(0.5) * v
    return np.maximum(side, v) - np.float32(0.5)


def hexagon(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Regular hexagon with a flat top."""
    u, v = np.abs(u), np.abs(v)
    return np.maximum(np.float32(0.8660254) * u + np.float32(0.5) * v, v) - np.float32(0.84)


def cross(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Upright cross with arms of equal length."""
    u, v = np.abs(u), np.abs(v)
    long, short = np.maximum(u, v), np.minimum(u, v)
    return np.maximum(long - np.float32(0.95), short - np.float32(0.33))


def crescent(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Crescent: a disc less a second disc to its right."""
    v2 = v * v
    u = u - np.float32(0.2)
    outer = np.sqrt(u * u + v2) - np.float32(0.95)
    u = u - np.float32(0.50)
    return np.maximum(outer, np.float32(0.72) - np.sqrt(u * u + v2))


def star(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Five-pointed star, point up."""
    c, s = np.float32(0.80901699), np.float32(0.58778525)
    u, v = np.abs(u), np.float32(0.05) - v
    fold = np.maximum(c * u - s * v, 0)  # reflections fold the star into one half of one of its points
    u, v = u - 2 * c * fold, v + 2 * s * fold
    fold = np.maximum(-c * u - s * v, 0)
    u, v = np.abs(u + 2 * c * fold), v + 2 * s * fold - np.float32(0.98)
    edge_u, edge_v = np.float32(0.45) * s, np.float32(0.45) * c - 1
    along = np.clip((u * edge_u + v * edge_v) / (edge_u * edge_u + edge_v * edge_v), 0, np.float32(0.98))
    du, dv = u - edge_u * along, v - edge_v * along
    return np.copysign(np.sqrt(du * du + dv * dv), v * edge_u - u * edge_v)


def heart(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Heart, point down."""
    size = np.float32(1.62)
    u, v = np.abs(u) / size, (np.float32(0.92) - v) / size
    lobe = np.sqrt((u - np.float32(0.25)) ** 2 + (v - np.float32(0.75)) ** 2) - np.float32(0.35355339)
    half = np.float32(0.5) * np.maximum(u + v, 0)
    notch = u * u + (v - 1) ** 2
    flank = np.sqrt(np.minimum(notch, (u - half) ** 2 + (v - half) ** 2))
    return np.where(u + v > 1, lobe, np.copysign(flank, u - v)) * size


def _box(u: np.ndarray, v: np.ndarray, left: float, top: float, right: float, bottom: float) -> np.ndarray:
    across = np.abs(u - np.float32((left + right) / 2)) - np.float32((right - left) / 2)
    down = np.abs(v - np.float32((top + bottom) / 2)) - np.float32((bottom - top) / 2)
    return np.maximum(across, down)


def letter_t(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Capital T."""
    return np.minimum(_box(u, v, -0.8, -0.95, 0.8, -0.45), _box(u, v, -0.27, -0.95, 0.27, 0.95))


def letter_l(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Capital L."""
    return np.minimum(_box(u, v, -0.7, -0.95, -0.17, 0.95), _box(u, v, -0.7, 0.45, 0.75, 0.95))


def letter_h(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Capital H."""
    return np.minimum(_box(np.abs(u), v, 0.28, -0.95, 0.8, 0.95), _box(u, v, -0.8, -0.26, 0.8, 0.26))


def letter_u(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Capital U."""
    return np.minimum(_box(np.abs(u), v, 0.28, -0.95, 0.8, 0.95), _box(u, v, -0.8, 0.45, 0.8, 0.95))


SHAPES: dict[str, Distance] = {
    "disc": disc,
    "ring": ring,
    "square": square,
    "diamond": diamond,
    "triangle": triangle,
    "hexagon": hexagon,
    "cross": cross,
    "crescent": crescent,
    "star": star,
    "heart": heart,
    "letter T": letter_t,
    "letter L": letter_l,
    "letter H": letter_h,
    "letter U": letter_u,
}
"""Every object shape by its name (the name is what captions say)."""

ROUND = frozenset({"disc", "ring"})
"""Shapes whose outline does not show that they turn."""
