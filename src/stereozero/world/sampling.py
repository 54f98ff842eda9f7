"""Draws random scenes: the same kind and seed always give the same scene."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np

from stereozero.errors import InputError
from stereozero.world.backdrops import Room, sample_room
from stereozero.world.captions import SURFACES
from stereozero.world.palette import OBJECT_COLOURS, Colour, difference, mixed
from stereozero.world.scenes import Camera, Layer, Scene
from stereozero.world.shapes import ROUND, SHAPES
from stereozero.world.textures import Texture
from stereozero.world.tracks import PACES, Track, amount, free_place, main_track, side_track

KINDS = ("simple", "complex")
"""Kinds of scenes that ``sample_scene`` knows."""

_NEAREST = 0.5  # greatest inverse depth of objects that stay at their depth [1 / scene unit]
_WHITE, _BLACK = (1.0, 1.0, 1.0), (0.03, 0.03, 0.05)
_FAMILIES = ("plain", "stripes", "checks", "dots", "rings", "gradient", "zigzag", "letters", "noise")


def sample_scene(kind: str, seed: int, pace: str = "varied") -> Scene:
    """Draws a scene.

    "simple": one or two objects before a wall of little contrast, the camera mostly still. "complex": five to nine
    objects before finely textured walls and floors, slanted planes, mostly a moving camera.

    Args:
        kind: one of ``KINDS``.
        seed: whole number >= 0.
        pace: one of ``PACES``; scenes of one seed show the same things at each, but not all in the same places.

    Returns:
        The scene. Its main object moves clearly in the direction that its facts state, and mostly inside the image
        for aspects from 1:1 to 16:9.

    Raises:
        InputError: unknown kind or pace, or negative seed.
    """
    if kind not in KINDS:
        raise InputError(f"sample_scene: kind {kind!r} is unknown: use one of {', '.join(KINDS)}")
    if pace not in PACES:
        raise InputError(f"sample_scene: pace {pace!r} is unknown: use one of {', '.join(PACES)}")
    if seed < 0:
        raise InputError(f"sample_scene: seed is {seed}: give a whole number of at least 0")
    rng = np.random.default_rng([KINDS.index(kind), seed])
    camera = _camera(rng, still=0.7 if kind == "simple" else 0.35, pace=pace)
    room = sample_room(rng, kind, camera)
    objects, main = _objects(rng, kind, camera, room, pace)
    layers = (*room.layers, *objects)
    return Scene(layers, camera, main=len(room.layers) + main, kind=kind, seed=int(seed))


def _camera(rng: np.random.Generator, still: float, pace: str) -> Camera:
    if rng.random() < still:
        return Camera()
    far = amount(rng, 0.7, 1.0, pace)
    return (
        Camera(move=(-0.32 * far, 0, 0), motion="left"),
        Camera(move=(0.32 * far, 0, 0), motion="right"),
        Camera(move=(0, 0, 0.55 * far), motion="forward"),
        Camera(move=(0, 0, -0.75 * far), motion="backward"),
        Camera(pan=-0.10 * far, motion="pan left"),
        Camera(pan=0.10 * far, motion="pan right"),
    )[rng.integers(6)]


def _objects(rng: np.random.Generator, kind: str, camera: Camera, room: Room, pace: str) -> tuple[list[Layer], int]:
    """The objects, each in a depth range of its own, and which of them is the main one."""
    count = int(rng.integers(1, 3) if kind == "simple" else rng.integers(5, 10))
    main = int(rng.integers(count // 2, count))  # among the nearer half, so that little hides it
    track = main_track(rng, rng.uniform(0.11, 0.15) if kind == "simple" else rng.uniform(0.09, 0.12), pace)
    if track.changes_depth:
        main = count - 1  # it needs the front for itself
    slots = _slots(rng, count, room.farthest, track.changes_depth, pace)
    looks = _looks(rng, kind, count, room.colours)
    tracks = {main: track}
    objects = []
    for index in np.roll(range(count), -main).tolist():  # the main object chooses its place first
        if index != main:
            size = rng.uniform(0.08, 0.11) if kind == "simple" else rng.uniform(0.055, 0.085)
            radius = size * (0.8 + 0.4 * (index + 1) / count)
            tracks[index] = side_track(rng, free_place(rng, tracks.values(), radius), radius, pace)
        layer = _place(tracks[index], slots[index], camera, room, looks[index])
        layer = _turned(rng, _tilted(rng, layer, slots, index), pace)
        rests = pace == "even" and index != main
        objects.append((index, replace(layer, turn=0.0) if rests else layer))
    return [layer for _, layer in sorted(objects, key=lambda pair: pair[0])], main


def _slots(
    rng: np.random.Generator, count: int, farthest: float, front_moves: bool, pace: str
) -> list[tuple[float, float]]:
    """Inverse depth of each object at the start and end of the clip, from far to near."""
    low, high = 1 / farthest, 0.34 if front_moves else _NEAREST
    steps = count - front_moves
    edges = np.linspace(low, high, steps + 1)
    centres = [rng.uniform(a + 0.3 * (b - a), b - 0.2 * (b - a)) for a, b in pairwise(edges)]
    slots = [(c, c) for c in centres]
    if front_moves:
        slots.append((0.38, 0.38 * amount(rng, 1.7, 2.0, pace)))
    return slots


def _place(track: Track, slot: tuple[float, float], camera: Camera, room: Room, look: Layer) -> Layer:
    """A layer that follows a track on the screen at the depths of a slot, never below the floor."""
    depths = (1 / slot[0], 1 / slot[1]) if track.direction != "away" else (1 / slot[1], 1 / slot[0])
    size = track.radius * depths[0] / camera.focal
    if track.changes_depth:  # the radius is meant for half way
        size = track.radius * 2 / (slot[0] + slot[1]) / camera.focal
    low = max(
        y * z + size * camera.focal - room.floor * camera.focal
        for y, z in zip((track.start[1], track.end[1]), depths, strict=True)
    )
    lift = max(0.0, low) + (0.02 if low > 0 else 0.0)
    points = []
    for time, (x, y), z in zip((0.0, 1.0), (track.start, track.end), depths, strict=True):
        ahead = ((x * z) / camera.focal, (y * z - lift) / camera.focal, z)
        points.append(_to_world(ahead, camera, time if track.follows_camera else 0.0))
    return replace(look, size=size, start=points[0], end=points[1], direction=track.direction)


def _to_world(point: tuple[float, float, float], camera: Camera, time: float) -> tuple[float, float, float]:
    """World position of a point given in the coordinates of the left camera at a time."""
    cos, sin = math.cos(camera.pan * time), math.sin(camera.pan * time)
    turned = (cos * point[0] + sin * point[2], point[1], cos * point[2] - sin * point[0])
    return tuple(float(a + time * b) for a, b in zip(turned, camera.move, strict=True))


def _tilted(rng: np.random.Generator, layer: Layer, slots: list[tuple[float, float]], index: int) -> Layer:
    """Slants an object sometimes, but not so far that it leaves its depth range."""
    angle = rng.uniform(0.35, 0.75) * rng.choice((-1, 1))
    about_y, wanted = rng.random() < 0.6, rng.random() < 0.4
    centre = slots[index][0]
    gaps = [abs(centre - slot[0]) for other, slot in enumerate(slots) if other != index]
    room = 0.4 * min(gaps, default=0.2) / centre**2 / layer.size  # depth to spare, in sizes of the object
    angle = math.copysign(min(abs(angle), math.asin(min(1.0, room))), angle)
    if not wanted or abs(angle) < 0.15:
        return layer
    return replace(layer, yaw=angle) if about_y else replace(layer, pitch=angle)


def _turned(rng: np.random.Generator, layer: Layer, pace: str) -> Layer:
    """Gives an object an angle in its plane, and sometimes a turn that can be seen."""
    lean, turn = rng.uniform(-0.25, 0.25), amount(rng, 0.6, 1.2, pace) * rng.choice((-1, 1))
    turns = rng.random() < 0.25 and layer.shape not in ROUND
    return replace(layer, spin=lean, turn=turn if turns else 0.0)


def _looks(rng: np.random.Generator, kind: str, count: int, behind: list[Colour]) -> list[Layer]:
    """Shape, colour and texture of each object; no two share both shape and colour."""
    names = [n for n, c in OBJECT_COLOURS.items() if min(difference(c, b) for b in behind) > 0.4]
    shapes = list(SHAPES)
    colours = [names[i] for i in rng.permutation(len(names))]
    picks = rng.permutation(len(shapes))
    return [_look(rng, kind, colours[i % len(colours)], shapes[picks[i % len(picks)]]) for i in range(count)]


def _look(rng: np.random.Generator, kind: str, colour: str, shape: str) -> Layer:
    """An object's look at the origin; ``_place`` moves it."""
    family = str(rng.choice(_FAMILIES, p=_family_odds(kind)))
    rgb = OBJECT_COLOURS[colour]
    accent = mixed(rgb, _WHITE, 0.65) if rng.random() < 0.5 else mixed(rgb, _BLACK, 0.6)
    if family == "plain":
        accent = mixed(rgb, _WHITE, 0.3)
    period = rng.uniform(0.55, 0.8) if kind == "simple" else rng.uniform(0.45, 0.65)
    angle = rng.uniform(0, math.pi) if family in ("stripes", "checks", "gradient", "zigzag") else 0.0
    stretch = {"gradient": 2.2, "rings": 0.8, "letters": 1.3}.get(family, 1.0)
    texture = Texture(family, (rgb, accent), period * stretch, angle, int(rng.integers(1000)), grain=0.08)
    return Layer(shape, texture, 1.0, (0, 0, 1), (0, 0, 1), colour=colour, surface=SURFACES[family])


def _family_odds(kind: str) -> list[float]:
    weights = np.array([3.0 if kind == "simple" else 1.0, *[1.0] * (len(_FAMILIES) - 1)])
    return list(weights / weights.sum())
