"""Captions: what a scene shows, as data and as one short English sentence from a small vocabulary."""

from dataclasses import dataclass

import numpy as np

from stereozero.world.palette import BACKDROP_COLOURS, OBJECT_COLOURS
from stereozero.world.scenes import Layer, Scene
from stereozero.world.shapes import SHAPES

WORDING = 2
"""Raised when the same scene is told in other words."""

SURFACES = {
    "plain": "plain",
    "stripes": "striped",
    "checks": "checked",
    "bricks": "brick",
    "tiles": "tiled",
    "dots": "dotted",
    "gradient": "shaded",
    "rings": "ringed",
    "zigzag": "zigzag",
    "wood": "wooden",
    "noise": "cloudy",
    "letters": "lettered",
}
"""The word for each texture family."""

_VERBS = {
    "left": ("moves left", "slides left", "drifts left", "glides to the left"),
    "right": ("moves right", "slides right", "drifts right", "glides to the right"),
    "up": ("moves up", "rises", "drifts up", "glides up"),
    "down": ("moves down", "sinks", "drifts down", "glides down"),
    "towards": ("moves towards the camera", "comes closer", "flies towards the camera"),
    "away": ("moves away from the camera", "goes away", "flies away from the camera"),
    "still": ("stays",),
}
_CAMERA = {
    "still": "is still",
    "left": "moves left",
    "right": "moves right",
    "forward": "moves forward",
    "backward": "moves back",
    "pan left": "pans left",
    "pan right": "pans right",
}
_GLUE = "a an and the to in front of above floor wall walls corner slanted beside among other many shapes turns while"


@dataclass(frozen=True)
class Thing:
    """Colour, surface and shape of an object, or colour, surface and role ("wall", "floor") of a backdrop, in words."""

    colour: str
    surface: str
    shape: str

    @property
    def words(self) -> str:
        """For example "a red checked disc"; a plain object goes without the word for its surface."""
        plain = self.surface == "plain" and self.shape != "wall"
        words = f"{self.colour} {self.shape}" if plain else f"{self.colour} {self.surface} {self.shape}"
        return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


@dataclass(frozen=True)
class Facts:
    """What a caption says.

    Attributes:
        main: the main object.
        direction: where it moves as the left camera sees it, one of ``DIRECTIONS`` (or "still" in a scene of your
            own).
        turns: how it turns in its plane, if visibly: "right" (clockwise), "left" or None.
        others: the other objects.
        wall: the backdrop at the back.
        floor: the floor, or None.
        setting: "wall", "slanted wall" or "corner".
        camera: one of ``CAMERA_MOTIONS``.
    """

    main: Thing
    direction: str
    turns: str | None
    others: tuple[Thing, ...]
    wall: Thing
    floor: Thing | None
    setting: str
    camera: str


def facts(scene: Scene) -> Facts:
    """What there is to say about a scene."""
    main = scene.layers[scene.main]
    wall, *halves = scene.backdrops
    floors = [half for half in halves if abs(half.pitch) > 1]
    slanted = max(abs(wall.yaw), abs(wall.pitch)) > 0.2
    corner = len(halves) > len(floors)
    return Facts(
        main=_thing(main),
        direction=main.direction,
        turns=_turns(main),
        others=tuple(_thing(layer) for layer in scene.objects if layer is not main),
        wall=Thing(wall.colour, wall.surface, "wall"),
        floor=Thing(floors[0].colour, floors[0].surface, "floor") if floors else None,
        setting="corner" if corner else "slanted wall" if slanted else "wall",
        camera=scene.camera.motion,
    )


def caption(scene: Scene) -> str:
    """One English sentence about a scene, lower case, all words from ``VOCABULARY``; the seed picks the wording."""
    told = facts(scene)
    rng = np.random.default_rng([scene.seed, 11])
    action = str(rng.choice(_VERBS[told.direction]))
    action += f" and turns to the {told.turns}" if told.turns else ""
    who, where, company, camera = told.main.words, _where(told), _company(told), f"the camera {_CAMERA[told.camera]}"
    return (
        f"{who} {action} {where}{company}, {camera}",
        f"{where} {who} {action}{company}, {camera}",
        f"{camera} while {who} {action} {where}{company}",
    )[rng.choice(3, p=(0.6, 0.2, 0.2))]


def _thing(layer: Layer) -> Thing:
    return Thing(layer.colour, layer.surface, layer.shape)


def _turns(layer: Layer) -> str | None:
    if layer.turn == 0:
        return None
    return "right" if layer.turn > 0 else "left"


def _where(told: Facts) -> str:
    if told.setting == "corner":
        return f"in a corner of {told.wall.colour} {told.wall.surface} walls"
    wall = told.wall.words
    if told.setting == "slanted wall":
        wall = f"a slanted {wall.split(' ', 1)[1]}"
    return f"in front of {wall}" + (f" above {told.floor.words}" if told.floor else "")


def _company(told: Facts) -> str:
    if not told.others:
        return ""
    if len(told.others) <= 2:
        return " beside " + " and ".join(thing.words for thing in told.others)
    return " among many other shapes"


def _vocabulary() -> frozenset[str]:
    phrases = [_GLUE, *SURFACES.values(), *SHAPES, *OBJECT_COLOURS, *BACKDROP_COLOURS, *_CAMERA.values()]
    phrases += [verb for verbs in _VERBS.values() for verb in verbs]
    return frozenset(word for phrase in phrases for word in phrase.split())


VOCABULARY = _vocabulary()
"""Every word a caption can have; commas are not words."""
