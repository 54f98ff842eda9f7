"""Projection of a scene's planes: the homographies between each plane and each view, frame by frame.

Screen coordinates are in image widths about the image centre: X = (x - (W - 1) / 2) / W and Y = (y - (H - 1) / 2) / W
for the pixel centre (x, y). Pixel centres have whole numbers; the image reaches from -0.5 to W - 0.5.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from stereozero.errors import InputError
from stereozero.world.scenes import Layer, Scene
from stereozero.world.shapes import PLANE

_CORNERS = np.array([[-1.0, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]])  # of an object's local square


@dataclass(frozen=True)
class View:
    """One camera's geometry over a clip: F frames, L layers.

    Attributes:
        scene: what is seen.
        frames: number of frames F.
        height: H [px].
        width: W [px].
        baseline: how far this camera is to the right of the left one, world units (0 for the left view).
        shift: how far its image is shifted to the right [image widths]; it makes the convergence.
    """

    scene: Scene
    frames: int
    height: int
    width: int
    baseline: float = 0.0
    shift: float = 0.0

    @cached_property
    def times(self) -> np.ndarray:
        """(F,) time of each frame in [0, 1]."""
        return np.linspace(0.0, 1.0, self.frames) if self.frames > 1 else np.zeros(1)

    @cached_property
    def to_screen(self) -> np.ndarray:
        """(F, L, 3, 3): local (u, v, 1) to Z * (X, Y, 1)."""
        camera = self.scene.camera
        project = np.array([[camera.focal, 0, self.shift], [0, camera.focal, 0], [0, 0, 1.0]])
        planes = np.stack([_camera_plane(self.scene, layer, self.times) for layer in self.scene.layers], axis=1)
        planes[..., 0, 2] -= self.baseline
        matrices = project @ planes
        _refuse_layers_behind_camera(self.scene, matrices)
        return matrices

    @cached_property
    def to_plane(self) -> np.ndarray:
        """(F, L, 3, 3): screen (X, Y, 1) to (u, v, 1) / Z; its last row gives the inverse depth."""
        return np.linalg.inv(self.to_screen)

    @cached_property
    def order(self) -> np.ndarray:
        """(F, L) layer indices from back to front."""
        layers = self.scene.layers
        back = len(self.scene.backdrops)
        depth = np.stack([layer.position(self.times)[:, 2] for layer in layers], axis=1)
        depth[:, :back] = np.inf  # a stable sort keeps the backdrops first and in their own order
        return np.argsort(-depth, axis=1, kind="stable")

    @cached_property
    def rank(self) -> np.ndarray:
        """(F, L) place of each layer in the order, 0 is the farthest."""
        return np.argsort(self.order, axis=1)

    @cached_property
    def ends(self) -> "View":
        """The same view at the start and the end of the action alone, whatever the number of frames."""
        return replace(self, frames=2)

    @property
    def screen_from_pixel(self) -> np.ndarray:
        """(3, 3): pixel (x, y, 1) to screen (X, Y, 1)."""
        w = self.width
        return np.array([[1 / w, 0, (1 - w) / 2 / w], [0, 1 / w, (1 - self.height) / 2 / w], [0, 0, 1]])

    def screen_x(self, x: np.ndarray) -> np.ndarray:
        """Pixel columns to screen X, float32."""
        return ((x - (self.width - 1) / 2) / self.width).astype(np.float32)

    def screen_y(self, y: np.ndarray) -> np.ndarray:
        """Pixel rows to screen Y, float32."""
        return ((y - (self.height - 1) / 2) / self.width).astype(np.float32)

    @cached_property
    def extents(self) -> np.ndarray:
        """(L, F, 4) left, top, right, bottom [px] of each layer on the screen, as floats; objects may lie outside."""
        return np.stack([self._extents(layer) for layer in range(len(self.scene.layers))])

    def _extents(self, layer: int) -> np.ndarray:
        if self.scene.layers[layer].is_backdrop:
            outlines = [self.visible_outline(layer, frame) for frame in range(self.frames)]
            boxes = np.array([[*outline.min(0), *outline.max(0)] for outline in outlines])
        else:
            corners = self.to_screen[:, layer] @ _CORNERS.T
            outline = corners[:, :2] / corners[:, 2:]
            boxes = np.concatenate([outline.min(2), outline.max(2)], axis=1)
        centre = np.array([self.width - 1, self.height - 1]) / 2
        return boxes * self.width + np.tile(centre, 2)

    def visible_outline(self, layer: int, frame: int) -> np.ndarray:
        """(N, 2) screen polygon of the part of a backdrop that lies in the image; one point if none does."""
        x, y = 0.5, 0.5 * self.height / self.width
        polygon = np.array([[-x, -y], [x, -y], [x, y], [-x, y]])
        if self.scene.layers[layer].shape == PLANE:
            return polygon
        return _clip(polygon, self.to_plane[frame, layer, 1])


def _camera_plane(scene: Scene, layer: Layer, times: np.ndarray) -> np.ndarray:
    """(F, 3, 3) with the columns: local u axis, local v axis and origin of a layer in left camera coordinates."""
    camera = scene.camera
    spin = layer.spin + times * layer.turn
    cos, sin, nil = np.cos(spin), np.sin(spin), np.zeros_like(times)
    axes = np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1), np.stack([nil, nil], -1)], axis=1)
    axes = layer.size * (_about_y(layer.yaw) @ _about_x(layer.pitch) @ axes)
    origin = layer.position(times) - times[:, None] * np.asarray(camera.move)
    plane = np.concatenate([axes, origin[:, :, None]], axis=2)
    return np.stack([_about_y(-camera.pan * t) for t in times]) @ plane


def _about_x(angle: float) -> np.ndarray:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])


def _about_y(angle: float) -> np.ndarray:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])


def _refuse_layers_behind_camera(scene: Scene, to_screen: np.ndarray) -> None:
    for index, layer in enumerate(scene.layers):
        points = np.array([[0.0, 0, 1]]) if layer.is_backdrop else _CORNERS
        depth = points @ to_screen[:, index, 2].T
        if depth.min() < 0.01:
            raise InputError(
                f"scene: layer {index} ({layer.shape}) comes closer to the camera than 0.01 units "
                f"(z = {depth.min():.3g}): move it, or the camera, so that it stays in front"
            )


def _clip(polygon: np.ndarray, line: np.ndarray) -> np.ndarray:
    """The part of a convex polygon (N, 2) where line . (X, Y, 1) <= 0."""
    side = polygon @ line[:2] + line[2]
    points = []
    for here in range(len(polygon)):
        there = (here + 1) % len(polygon)
        if side[here] <= 0:
            points.append(polygon[here])
        if (side[here] <= 0) != (side[there] <= 0):
            share = side[here] / (side[here] - side[there])
            points.append(polygon[here] + share * (polygon[there] - polygon[here]))
    return np.array(points) if points else polygon[:1] * 4  # a point off the screen
