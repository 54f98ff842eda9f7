"""Rooms: the walls and floors behind the objects."""

import math
from dataclasses import dataclass

import numpy as np

from stereozero.world.captions import SURFACES
from stereozero.world.palette import BACKDROP_COLOURS, Colour, mixed
from stereozero.world.scenes import Camera, Layer
from stereozero.world.shapes import HALF_PLANE, PLANE
from stereozero.world.textures import Texture

_SIMPLE = ("plain", "gradient", "stripes", "checks", "bricks", "tiles", "wood")
_COMPLEX = ("bricks", "tiles", "checks", "stripes", "dots", "letters", "wood", "zigzag", "noise")
_FLOORS = ("wood", "tiles", "checks", "bricks", "stripes")
_WHITE, _BLACK = (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Room:
    """What lies behind the objects.

    Attributes:
        layers: the backdrops, in drawing order.
        farthest: objects up to this depth are safely in front of every wall [scene units].
        floor: world y of the floor, infinite if there is none.
        colours: every colour that appears on the backdrops.
    """

    layers: tuple[Layer, ...]
    farthest: float
    floor: float
    colours: list[Colour]


def sample_room(rng: np.random.Generator, kind: str, camera: Camera) -> Room:
    """A wall, a slanted wall, a wall with a floor, or a corner of two walls."""
    depth = rng.uniform(7.0, 9.0)
    odds = (0.5, 0.2, 0.25, 0.05) if kind == "simple" else (0.1, 0.25, 0.45, 0.2)
    build = (_flat, _slanted, _with_floor, _corner)[rng.choice(4, p=odds)]
    wall = _surface(rng, kind, _SIMPLE if kind == "simple" else _COMPLEX, depth / camera.focal)
    return build(rng, kind, wall, depth)


def _flat(rng: np.random.Generator, kind: str, wall: Layer, depth: float) -> Room:
    return Room((_at(wall, depth),), 0.7 * depth, math.inf, _colours(wall))


def _slanted(rng: np.random.Generator, kind: str, wall: Layer, depth: float) -> Room:
    angle = float(rng.uniform(0.4, 0.7) * rng.choice((-1, 1)))
    return Room((_at(wall, depth, yaw=angle),), 0.55 * depth, math.inf, _colours(wall))


def _with_floor(rng: np.random.Generator, kind: str, wall: Layer, depth: float) -> Room:
    join = rng.uniform(0.08, 0.15)  # of wall and floor, below the image centre [image widths]
    height = float(join * depth / 1.1)
    floor = _surface(rng, kind, _FLOORS, 0.6 * depth / 1.1, unlike=wall.colour)
    floor = _at(floor, depth, y=height, pitch=math.pi / 2, shape=HALF_PLANE)
    return Room((_at(wall, depth), floor), 0.7 * depth, height, _colours(wall) + _colours(floor))


def _corner(rng: np.random.Generator, kind: str, wall: Layer, depth: float) -> Room:
    x = float(rng.uniform(-0.2, 0.2) * depth / 1.1)
    left, right = (float(a) for a in rng.uniform(0.35, 0.6, 2))
    quarter = math.pi / 2  # a half-plane's inside points to its local -v: turned by a quarter, that is to the right
    layers = (
        _at(wall, depth, x=x, yaw=-left),
        _at(wall, depth, x=x, yaw=right, spin=quarter, shape=HALF_PLANE),
    )
    return Room(layers, 0.5 * depth, math.inf, _colours(wall))


def _at(
    surface: Layer,
    depth: float,
    x: float = 0.0,
    y: float = 0.0,
    yaw: float = 0.0,
    pitch: float = 0.0,
    spin: float = 0.0,
    shape: str = PLANE,
) -> Layer:
    """A surface as a resting backdrop; its texture stays upright whatever the spin."""
    place = (x, y, float(depth))
    old = surface.texture
    texture = Texture(old.family, old.colours, old.period, old.angle - spin, old.seed, old.grain)
    words = {"colour": surface.colour, "surface": surface.surface}
    return Layer(shape, texture, 1.0, place, place, yaw=yaw, pitch=pitch, spin=spin, **words)


def _surface(rng: np.random.Generator, kind: str, families: tuple[str, ...], unit: float, unlike: str = "") -> Layer:
    """A textured plane; unit is how many scene units one image width spans where it lies."""
    family = str(rng.choice(families))
    names = [name for name in BACKDROP_COLOURS if name != unlike]
    colour = str(rng.choice(names))
    period = rng.uniform(0.16, 0.26) if kind == "simple" else rng.uniform(0.09, 0.15)
    period *= {"plain": 1.5, "gradient": 5.0, "stripes": 0.7, "wood": 0.7, "letters": 0.9, "noise": 2.0}.get(
        family, 1.0
    )
    angle = float(rng.choice((0.0, math.pi / 2))) if family in ("stripes", "zigzag", "gradient") else 0.0
    rgb = BACKDROP_COLOURS[colour]
    contrast = 0.3 if kind == "simple" else rng.uniform(0.35, 0.5)
    accent = mixed(rgb, _BLACK if _is_pale(rgb) else _WHITE, contrast)
    texture = Texture(family, (rgb, accent), period * unit, angle, int(rng.integers(1000)), grain=0.12)
    return Layer(PLANE, texture, 1.0, (0, 0, 1), (0, 0, 1), colour=colour, surface=SURFACES[family])


def _is_pale(rgb: Colour) -> bool:
    return sum(rgb) > 1.6


def _colours(layer: Layer) -> list[Colour]:
    return list(layer.texture.colours)
