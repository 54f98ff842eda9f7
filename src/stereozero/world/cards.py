"""Cards: a layer's texture, painted once a clip and filtered for the size of a pixel.

Every frame of both views then looks up the same card, so that nothing flickers and the two views agree. A backdrop's
card is laid out as the left view sees the plane in one frame (so a floor is sharp near and far), an object's card in
the object's own plane. A card has two texels a pixel and is blurred with a Gaussian of 0.55 px: edges look sharp,
and the image holds little that its pixels cannot carry, so it can be resampled at a fraction of a pixel.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from stereozero.world.geometry import View
from stereozero.world.scenes import Layer
from stereozero.world.shapes import HALF_PLANE, SHAPES

DENSITY = 2
"""Texels a pixel."""
BLUR = 0.55
"""Standard deviation of the pixel filter [px]."""
_SAMPLES = 2  # texture samples a texel, along each axis
_MARGIN = 6  # texels around what is needed, so that the blur sees no border
_STRIP = 1 << 17  # texture samples evaluated at once: what fits into a processor's cache


@dataclass(frozen=True)
class Card:
    """A painted, filtered piece of a layer's plane.

    Attributes:
        image: (h, w, 3) float32 RGB.
        from_plane: (3, 3) local (u, v, 1) to homogeneous texel coordinates; texel centres have whole numbers.
        scales: (F,) how many times larger the card is drawn here than in each frame, about 1 or more.
    """

    image: np.ndarray
    from_plane: np.ndarray
    scales: np.ndarray

    def at(self, frame: int) -> np.ndarray:
        """The image, blurred to fit the size at which the layer shows in a frame."""
        excess = self.scales[frame] ** 2 - 1
        if excess < 0.05:
            return self.image
        return cv2.GaussianBlur(self.image, (0, 0), BLUR * DENSITY * math.sqrt(excess))


@dataclass(frozen=True)
class _Grid:
    """A rectangle of an endless grid of texels.

    Attributes:
        density: texels a unit of the canonical coordinates.
        first: column and row of the first texel; texel (0, 0) begins at the canonical origin.
        size: columns and rows.
    """

    density: float
    first: tuple[int, int]
    size: tuple[int, int]

    @property
    def from_canon(self) -> np.ndarray:
        """(3, 3): canonical coordinates to texel coordinates, in which the first texel's centre is (0, 0)."""
        x, y = self.first
        return np.array([[self.density, 0, -x - 0.5], [0, self.density, -y - 0.5], [0, 0, 1]])


def object_card(view: View, index: int) -> Card:
    """Card of an object: its whole local square, as sharp as where it shows largest in the scene's action.

    Not where it shows largest in the frames: so a frame does not depend on which others are rendered.
    """
    layer = view.scene.layers[index]
    pixels = layer.size * view.scene.camera.focal * view.width  # a local unit at depth 1
    least, depths = view.ends.to_screen[:, index, 2, 2].min(), view.to_screen[:, index, 2, 2]
    texels = DENSITY * pixels / least
    half = math.ceil(1.05 * texels) + _MARGIN
    slant = math.sqrt(abs(math.cos(layer.yaw) * math.cos(layer.pitch)))
    grid = _Grid(texels, (-half, -half), (2 * half, 2 * half))
    image = _paint(layer, np.eye(3), grid, BLUR * DENSITY / slant)
    return Card(image, grid.from_canon, depths / least)


def backdrop_card(view: View, index: int, left: View) -> Card:
    """Card of what a view sees of a backdrop, laid out as in the left view when the camera is farthest forward.

    The texel grid is the same for every view, so cards made for the left and the right view agree to the last bit
    except in a few texels along their borders.
    """
    reference = int(view.scene.camera.move[2] > 0)
    to_canon = left.ends.to_screen[reference, index]
    density = DENSITY * left.width
    low, high = _needed(view, index, to_canon)
    low = np.floor(low * density).astype(int) - _MARGIN
    width, height = np.ceil(high * density).astype(int) - low + _MARGIN
    grid = _Grid(density, (int(low[0]), int(low[1])), (int(width), int(height)))
    image = _paint(view.scene.layers[index], left.ends.to_plane[reference, index], grid, BLUR * DENSITY)
    return Card(image, grid.from_canon @ to_canon, np.ones(view.frames))


def _needed(view: View, index: int, to_canon: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Corners (least and greatest X, Y) of the canonical screen region in which a view looks up a backdrop."""
    points = []
    for frame in range(view.frames):
        outline = view.visible_outline(index, frame)
        homogeneous = np.column_stack([outline, np.ones(len(outline))])
        x, y, z = to_canon @ view.to_plane[frame, index] @ homogeneous.T
        points.append(np.column_stack([x / z, y / z]))
    points = np.concatenate(points)
    return points.min(0), points.max(0)


def _paint(layer: Layer, to_plane: np.ndarray, grid: _Grid, sigma: float) -> np.ndarray:
    """Image (h, w, 3) of a layer's surface, averaged over each texel and blurred by sigma [texels].

    to_plane (3, 3) leads from the canonical coordinates of the grid to the layer's local ones.
    """
    width, height = grid.size
    image = np.empty((height, width, 3), np.float32)
    for rows in _strips(height, width):
        fine = _surface(layer, *_sample_points(to_plane, grid, rows))
        cv2.resize(fine, (width, rows.stop - rows.start), dst=image[rows], interpolation=cv2.INTER_AREA)
    return cv2.GaussianBlur(image, (0, 0), sigma)


def _strips(height: int, width: int) -> Iterator[slice]:
    step = max(1, _STRIP // (width * _SAMPLES**2))
    for start in range(0, height, step):
        yield slice(start, min(height, start + step))


def _sample_points(to_plane: np.ndarray, grid: _Grid, rows: slice) -> tuple[np.ndarray, np.ndarray]:
    """Local u, v of the texture samples of some rows of texels.

    The positions depend on a texel's place in the endless grid alone, so overlapping cards are equal bit by bit.
    """
    x = _centres(grid.first[0], grid.size[0], grid.density)
    y = _centres(grid.first[1] + rows.start, rows.stop - rows.start, grid.density)[:, None]
    m = to_plane.astype(np.float32)
    u, v = (row[0] * x + (row[1] * y + row[2]) for row in m[:2])
    if not m[2, :2].any():
        return u / m[2, 2], v / m[2, 2]
    # a floor's card reaches a little beyond its edge: the limit keeps it this side of the horizon
    w = np.maximum(m[2, 0] * x + (m[2, 1] * y + m[2, 2]), np.float32(1e-3))
    return u / w, v / w


def _centres(first: int, count: int, density: float) -> np.ndarray:
    """Canonical coordinates of the samples of some texels in a row, float32."""
    samples = np.arange(first * _SAMPLES, (first + count) * _SAMPLES) + 0.5
    return (samples / (_SAMPLES * density)).astype(np.float32)


def _surface(layer: Layer, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """RGB (h, w, 3) of a layer at local points, with a darker rim that sets an object off from what is behind it."""
    colour = layer.texture.colour(u, v)
    if layer.shape == HALF_PLANE:
        shade = 1 - np.float32(0.3) * np.exp(np.minimum(v, 0) * np.float32(1.2))
    elif layer.shape in SHAPES:
        shade = np.clip(1 + np.float32(4) * (SHAPES[layer.shape](u, v) + np.float32(0.09)), 1, None)
        shade = np.maximum(2 - shade, np.float32(0.5))
    else:
        return colour
    return cv2.multiply(colour, cv2.merge([shade, shade, shade]))
