"""An independent, slow renderer of layer ids: casts one ray a pixel at every plane, in world coordinates."""

import numpy as np

from stereozero.world import Layer, Scene
from stereozero.world.shapes import HALF_PLANE, PLANE, SHAPES


def rotation(about: str, angle: float) -> np.ndarray:
    """Rotation matrix about the x, y or z axis (right-handed; y points down, so z turns clockwise on the screen)."""
    first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[about]
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = np.cos(angle)
    matrix[first, second], matrix[second, first] = -np.sin(angle), np.sin(angle)
    return matrix


def pose(layer: Layer, time: float) -> tuple[np.ndarray, np.ndarray]:
    """Origin (3,) and axes (3, 3; the third is the normal) of a layer at a time, in the world."""
    turned = rotation("y", layer.yaw) @ rotation("x", layer.pitch) @ rotation("z", layer.spin + time * layer.turn)
    start, end = np.array(layer.start), np.array(layer.end)
    return start + time * (end - start), turned


def camera_pose(scene: Scene, time: float, baseline: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Position (3,) and axes (3, 3, in columns) of a camera in the world."""
    axes = rotation("y", scene.camera.pan * time)
    return time * np.array(scene.camera.move) + baseline * axes[:, 0], axes


def pixel_rays(scene: Scene, x: np.ndarray, y: np.ndarray, size: tuple[int, int], shift: float = 0.0) -> np.ndarray:
    """Rays (..., 3) with z = 1 in camera coordinates through pixels (x, y) of an image of size (H, W)."""
    height, width = size
    focal = scene.camera.focal * width
    across = (x - (width - 1) / 2 - shift * width) / focal
    down = (y - (height - 1) / 2) / focal
    return np.stack([across, down, np.ones_like(across)], axis=-1)


def hits(scene: Scene, layer: Layer, rays: np.ndarray, time: float, baseline: float = 0.0) -> tuple:
    """Depth (...) at which rays meet a layer, infinite where they miss it, and local (u, v) there."""
    eye, camera_axes = camera_pose(scene, time, baseline)
    origin, axes = pose(layer, time)
    directions = rays @ camera_axes.T
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = ((origin - eye) @ axes[:, 2]) / (directions @ axes[:, 2])
        points = eye + depth[..., None] * directions
        u, v = np.moveaxis((points - origin) @ axes[:, :2] / layer.size, -1, 0)
    if layer.shape == PLANE:
        inside = depth > 0
    elif layer.shape == HALF_PLANE:
        inside = (depth > 0) & (v <= 0)
    else:
        inside = (depth > 0) & (SHAPES[layer.shape](np.nan_to_num(u), np.nan_to_num(v)) <= 0)
    return np.where(inside, depth, np.inf), u, v


def nearest(scene: Scene, rays: np.ndarray, time: float, baseline: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Index of the nearest layer on each ray and its depth; of two within a millionth, the later one."""
    depths = np.stack([hits(scene, layer, rays, time, baseline)[0] for layer in scene.layers])
    best = depths.min(0)
    close = depths <= best * (1 + 1e-6)
    return len(depths) - 1 - close[::-1].argmax(0), best
