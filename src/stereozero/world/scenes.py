"""What a scene is: textured planes that move before a moving camera.

World coordinates are those of the left camera at the start of the clip: x to the right, y down, z forward, in scene
units. Time runs from 0 (first frame) to 1 (last frame), whatever the number of frames. Lengths on the screen are
given in widths of the image, so that one scene renders at any resolution and aspect.
"""

from dataclasses import dataclass

import numpy as np

from stereozero.errors import InputError
from stereozero.world.shapes import HALF_PLANE, PLANE, SHAPES
from stereozero.world.textures import Texture

Vector = tuple[float, float, float]

DIRECTIONS = ("left", "right", "up", "down", "towards", "away")
"""Directions in which a main object can move, as the left camera sees it."""
CAMERA_MOTIONS = ("still", "left", "right", "forward", "backward", "pan left", "pan right")
"""Words for what the camera does."""


@dataclass(frozen=True)
class Camera:
    """The left camera of a rectified pair and its motion at constant speed.

    Attributes:
        focal: focal length in widths of the image (f_px = focal * W), > 0.
        move: displacement over the clip, world units.
        pan: turn to the right about the vertical axis over the clip [rad].
        motion: the word for it, one of ``CAMERA_MOTIONS``.
    """

    focal: float = 1.1
    move: Vector = (0.0, 0.0, 0.0)
    pan: float = 0.0
    motion: str = "still"

    def __post_init__(self) -> None:
        if not self.focal > 0:
            raise InputError(f"camera focal length is {self.focal} image widths: it must be positive")
        if self.motion not in CAMERA_MOTIONS:
            raise InputError(f"camera motion {self.motion!r} is unknown: use one of {', '.join(CAMERA_MOTIONS)}")


@dataclass(frozen=True)
class Layer:
    """One plane of the scene: a backdrop (endless, or a half-plane) or an object cut out along a shape.

    The plane's local axes are those of the world, turned in the plane by ``spin``, then by ``pitch`` about the x axis,
    then by ``yaw`` about the y axis, and scaled by ``size``.

    Attributes:
        shape: "plane", "half-plane" (local v <= 0) or a key of ``shapes.SHAPES``.
        texture: what is painted on it.
        size: world units per local unit, > 0 (about half of an object's width).
        start: world position of the local origin at time 0.
        end: the same at time 1; in between it moves at constant speed.
        yaw: slant about the vertical axis [rad].
        pitch: slant about the horizontal axis [rad].
        spin: in-plane angle at time 0, clockwise [rad].
        turn: in-plane turn over the clip, clockwise [rad].
        colour: the word for its main colour.
        surface: the word for its texture.
        direction: one of ``DIRECTIONS``, or "still".

    Raises:
        InputError: unknown shape, or a size that is not positive.
    """

    shape: str
    texture: Texture
    size: float
    start: Vector
    end: Vector
    yaw: float = 0.0
    pitch: float = 0.0
    spin: float = 0.0
    turn: float = 0.0
    colour: str = ""
    surface: str = ""
    direction: str = "still"

    def __post_init__(self) -> None:
        known = (PLANE, HALF_PLANE, *SHAPES)
        if self.shape not in known:
            raise InputError(f"layer shape {self.shape!r} is unknown: use one of {', '.join(known)}")
        if not self.size > 0:
            raise InputError(f"layer size is {self.size}: it must be positive")

    @property
    def is_backdrop(self) -> bool:
        """True for planes and half-planes."""
        return self.shape in (PLANE, HALF_PLANE)

    def position(self, times: np.ndarray) -> np.ndarray:
        """World positions (F, 3) of the local origin at times (F,)."""
        start, end = np.asarray(self.start, float), np.asarray(self.end, float)
        return start + np.asarray(times, float)[:, None] * (end - start)


@dataclass(frozen=True)
class Scene:
    """Layers before a camera.

    Attributes:
        layers: backdrops first, in drawing order (the first one must be an endless plane), then the objects in any
            order: nearer ones are drawn over farther ones, frame by frame, by the world z of their origins. Objects
            must not cut through each other or through a backdrop.
        camera: the left camera.
        main: index in ``layers`` of the object that the caption is about.
        kind: "simple", "complex" or a name of your own.
        seed: what the scene was drawn from; it also picks the caption's wording.

    Raises:
        InputError: no endless plane at the back, a backdrop after an object, or ``main`` is no object.
    """

    layers: tuple[Layer, ...]
    camera: Camera
    main: int
    kind: str = "own"
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.layers or self.layers[0].shape != PLANE:
            raise InputError("scene: the first layer must have the shape 'plane', so that no pixel stays empty")
        if len(self.layers) > 255:
            raise InputError(f"scene: {len(self.layers)} layers are too many, 255 is the limit")
        flags = [layer.is_backdrop for layer in self.layers]
        if flags != sorted(flags, reverse=True):
            raise InputError("scene: list all backdrops (planes and half-planes) before the objects")
        if not 0 <= self.main < len(flags) or flags[self.main]:
            raise InputError(f"scene: main is {self.main}, which is not the index of an object in layers")

    @property
    def backdrops(self) -> tuple[Layer, ...]:
        """The planes and half-planes at the back."""
        return tuple(layer for layer in self.layers if layer.is_backdrop)

    @property
    def objects(self) -> tuple[Layer, ...]:
        """The shapes in front, in the order of ``layers``."""
        return tuple(layer for layer in self.layers if not layer.is_backdrop)
