"""Procedural textures: endless patterns that are evaluated at points, without any image file.

A pattern maps plane coordinates (p, q), in which its period is about 1, to a mixing weight: 0 is the texture's first
colour, 1 its second. Patterns are point samples; ``cards.py`` filters them for the size of a pixel.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from stereozero.errors import InputError

Pattern = Callable[[np.ndarray, np.ndarray, int], np.ndarray]
Colour = tuple[float, float, float]

_TILE = 256
_GLYPHS = {
    "A": "01110 10001 10001 11111 10001 10001 10001",
    "E": "11111 10000 10000 11110 10000 10000 11111",
    "H": "10001 10001 10001 11111 10001 10001 10001",
    "K": "10001 10010 10100 11000 10100 10010 10001",
    "N": "10001 11001 11001 10101 10011 10011 10001",
    "R": "11110 10001 10001 11110 10100 10010 10001",
    "S": "01111 10000 10000 01110 00001 00001 11110",
    "Z": "11111 00001 00010 00100 01000 10000 11111",
}


@dataclass(frozen=True)
class Texture:
    """A pattern with two colours, placed on a plane.

    Attributes:
        family: a key of ``PATTERNS``.
        colours: two RGB triples in [0, 1]; the pattern mixes between them.
        period: length of one repetition, in units of the plane's local coordinates, > 0.
        angle: rotation of the pattern in its plane [rad].
        seed: which random details (tones of bricks, letters, noise) it shows.
        grain: amplitude of a fine random tone on top, in mixing weight (0 is none).

    Raises:
        InputError: unknown family, or a period that is not positive.
    """

    family: str
    colours: tuple[Colour, Colour]
    period: float
    angle: float = 0.0
    seed: int = 0
    grain: float = 0.0

    def __post_init__(self) -> None:
        if self.family not in PATTERNS:
            raise InputError(f"texture family {self.family!r} is unknown: use one of {', '.join(PATTERNS)}")
        if not self.period > 0:
            raise InputError(f"texture period is {self.period}: it must be positive")

    def weight(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Mixing weight at local plane coordinates u, v (float32 arrays of one shape), about [0, 1]."""
        cos, sin = np.float32(np.cos(self.angle) / self.period), np.float32(np.sin(self.angle) / self.period)
        p, q = cos * u + sin * v, cos * v - sin * u
        weight = PATTERNS[self.family](p, q, self.seed)
        if self.grain:
            fine = _noise(p * np.float32(3.1), q * np.float32(3.1), self.seed + 5)
            weight = weight + np.float32(self.grain) * (fine - np.float32(0.5))
        return weight

    def colour(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """RGB at local plane coordinates: u and v of shape (H, W) give (H, W, 3) float32."""
        weight = self.weight(u, v)
        first, second = (np.asarray(c, np.float32) for c in self.colours)
        return cv2.merge([np.float32(a) + weight * np.float32(b - a) for a, b in zip(first, second, strict=True)])


def _floor_and_fraction(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    whole = np.floor(x)
    return whole, x - whole


@lru_cache(maxsize=1)
def _random_table() -> np.ndarray:
    return np.random.default_rng(20240607).random(4096, dtype=np.float32)


@lru_cache(maxsize=8)
def _noise_tile(which: int) -> np.ndarray:
    """Periodic smooth noise (256, 256) in [0, 1]: three octaves, the coarsest with 32 px a wave."""
    rng = np.random.default_rng([97, which])
    tile = np.zeros((_TILE, _TILE), np.float32)
    for step, gain in ((32, 1.0), (16, 0.5), (8, 0.25)):
        lattice = np.pad(rng.random((_TILE // step, _TILE // step), dtype=np.float32), 3, mode="wrap")
        fine = cv2.resize(lattice, None, fx=step, fy=step, interpolation=cv2.INTER_CUBIC)
        tile += np.float32(gain) * fine[3 * step : -3 * step, 3 * step : -3 * step]
    tile -= tile.min()
    return tile / tile.max()


def _noise(p: np.ndarray, q: np.ndarray, seed: int) -> np.ndarray:
    """Smooth noise in [0, 1] whose coarsest wave has length 1; it repeats after 8."""
    size = np.float32(_TILE)
    x = p * np.float32(32) + np.float32(seed * 37 % 251)
    y = q * np.float32(32) + np.float32(seed * 71 % 241)
    x -= size * np.floor(x / size)
    y -= size * np.floor(y / size)
    return cv2.remap(_noise_tile(seed % 8), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)


def _cell_random(column: np.ndarray, row: np.ndarray, seed: int) -> np.ndarray:
    """One random number in [0, 1) a cell of an integer grid, given as float arrays."""
    index = column.astype(np.int32) * 59 + row.astype(np.int32) * 1013 + seed * 101
    return np.take(_random_table(), index & 4095)


def plain(p: np.ndarray, q: np.ndarray, seed: int) -> np.ndarray:
    """Almost one colour, with broad soft clouds."""
    return np.float32(0.5) * _noise(p * np.float32(0.5), q * np.float32(0.5), seed)


def stripes(p: np.ndarray, q: np.ndarray, seed: int) -> np.ndarray:
    """Stripes along p, as broad as their gaps."""
    return (_floor_and_fraction(q)[1] < 0.5).astype(np.float32)


def checks(p: np.ndarray, q: np.ndarray, seed: int) -> np.ndarray:
    """Chessboard with two squares a period."""
    cells = np.floor(p * 2) + np.floor(q * 2)
    return cells - 2 * np.floor(cells * np.float32(0.5))


def bricks(p: np.ndarray, q: np.ndarray, seed: int) -> np.ndarray:
    """Brick courses, every second one shifted by half a brick, with pale joints (weight 1)."""
    row, y = _floor_and_fraction(q * 2)
    column, x = _floor_and_fraction(p + np.float32(0.5) * row)
    tone = np.float32(0.38) * _cell_random(column, row, seed)
    return np.where((x < 0.08) | (y < 0.16), np.float32(1), tone)


def tiles(p: np.ndarray, q: np.ndarray, seed: int) -> np.ndarray:
    """Square tiles of varying tone between thin joints."""
    column, x = _floor_and_fraction(p)
    row, y = _floor_and_fraction(q)
    tone = np.float32(0.5) * _cell_random(column, row, seed)
    return np.where((x < 0.1) | (y < 0.1), np.float32(1), tone)


def dots(p: np.ndarray, q: np.ndarray, seed: int) -> np.ndarray:
    """Round dots on a square grid."""
    x, y = _floor_and_fraction(p)[1] - np.float32(0.5), _floor_and_fraction(q)[1] - np.float32(0.5)
    return (x * x + y * y < 0.085).astype(np.float32)


def gradient(p: np.ndarray, q: np.ndarray, seed: int) -> np.ndarray:
    """A smooth wave along q."""
    return np.float32(0.5) - np.float32(0.5) * np.cos(q * np.float32(2 * np.pi))


def rings(p: np.ndarray, q: np.ndarray, seed: int) -> np.ndarray:
    """Concentric rings about the origin."""
    return (_floor_and_fraction(np.sqrt(p * p + q * q))[1] > 0.5).astype(np.float32)


def zigzag(p: np.ndarray, q: np.ndarray, seed: int) -> np.ndarray:
    """Zigzag stripes."""
    x = np.abs(_floor_and_fraction(p)[1] - np.float32(0.5))
    return (_floor_and_fraction(q + x)[1] < 0.5).astype(np.float32)


def wood(p: np.ndarray, q: np.ndarray, seed: int) -> np.ndarray:
    """Boards along p with wavy grain, a tone each, and dark gaps."""
    board, y = _floor_and_fraction(q)
    tone = _cell_random(board, board, seed)
    rise = _noise(p * np.float32(0.3) + tone * 7, q * np.float32(1.3), seed)
    grain = np.sin((y * 2 + rise * 5) * np.float32(2 * np.pi))
    weight = np.float32(0.28) + np.float32(0.3) * tone + np.float32(0.2) * grain
    return np.where(y < 0.07, np.float32(1), weight)


def noise(p: np.ndarray, q: np.ndarray, seed: int) -> np.ndarray:
    """Cloudy noise with strong contrast."""
    return np.clip((_noise(p, q, seed) - np.float32(0.25)) * 2, 0, 1)


@lru_cache(maxsize=1)
def _glyph_table() -> np.ndarray:
    """(8 letters, 9 rows, 7 columns) of 0 and 1: every letter with a margin of one cell on each side."""
    letters = [[list(map(int, row)) for row in glyph.split()] for glyph in _GLYPHS.values()]
    return np.pad(np.asarray(letters, np.float32), ((0, 0), (1, 1), (1, 1)))


def letters(p: np.ndarray, q: np.ndarray, seed: int) -> np.ndarray:
    """Rows of random capital letters, one a cell."""
    column, x = _floor_and_fraction(p * np.float32(9 / 7))
    row, y = _floor_and_fraction(q)
    which = (_cell_random(column, row, seed) * 8).astype(np.int32)
    index = which * 63 + (y * 9).astype(np.int32).clip(0, 8) * 7 + (x * 7).astype(np.int32).clip(0, 6)
    return np.take(_glyph_table().ravel(), index)


PATTERNS: dict[str, Pattern] = {
    "plain": plain,
    "stripes": stripes,
    "checks": checks,
    "bricks": bricks,
    "tiles": tiles,
    "dots": dots,
    "gradient": gradient,
    "rings": rings,
    "zigzag": zigzag,
    "wood": wood,
    "noise": noise,
    "letters": letters,
}
"""Every texture family by its name."""
