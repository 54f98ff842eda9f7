"""Draws the layers of a scene into one view: which layer each pixel shows, and its anti-aliased colour.

Silhouettes are analytic: a pixel's coverage is its signed distance to the outline, in pixels, put through a ramp one
pixel wide. So coverage >= 0.5 holds exactly where the pixel centre lies inside the outline. Several frames are
computed at once when they are small, because numpy's cost a call would otherwise outweigh the work.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from stereozero.world.cards import Card
from stereozero.world.geometry import View
from stereozero.world.shapes import HALF_PLANE, PLANE, SHAPES

_BATCH = 1 << 18  # pixels computed at once


@dataclass(frozen=True)
class Boxes:
    """Equally large pixel rectangles, one in each of some consecutive frames.

    Attributes:
        frames: which frames.
        x: (n,) left-most columns.
        y: (n,) top rows.
        width: columns, >= 0.
        height: rows, >= 0.
    """

    frames: slice
    x: np.ndarray
    y: np.ndarray
    width: int
    height: int

    def grid(self, margin: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Pixel columns (n, 1, w) and rows (n, h, 1), widened by a margin on all sides."""
        x = self.x[:, None, None] + np.arange(-margin, self.width + margin)
        y = self.y[:, None, None] + np.arange(-margin, self.height + margin)[:, None]
        return x, y

    def windows(self) -> Iterator[tuple[int, tuple[int, slice, slice]]]:
        """Pairs of a frame's place in the batch and the index of its rectangle in (F, H, W) arrays."""
        for n, (x, y) in enumerate(zip(self.x.tolist(), self.y.tolist(), strict=True)):
            yield n, (self.frames.start + n, slice(y, y + self.height), slice(x, x + self.width))


def boxes_of(view: View, extents: np.ndarray, frames: slice) -> Boxes:
    """Boxes around extents (F, 4: left, top, right, bottom [px]), one size for all frames, inside the image."""
    limit = np.array([view.width, view.height, view.width, view.height])
    edges = np.clip(extents[frames] + [-1, -1, 2, 2], 0, limit).astype(int)
    width, height = (edges[:, 2] - edges[:, 0]).max(), (edges[:, 3] - edges[:, 1]).max()
    x = np.minimum(edges[:, 0], view.width - width)
    y = np.minimum(edges[:, 1], view.height - height)
    return Boxes(frames, x, y, int(width), int(height))


def layer_ids(view: View) -> np.ndarray:
    """Index of the layer that each pixel centre shows: (F, H, W) uint8."""
    ids = np.zeros((view.frames, view.height, view.width), np.uint8)
    for frames, order in runs(view):
        for layer in order:
            _mark(view, layer, frames, ids)
    return ids


def colours(view: View, cards: list[Card]) -> np.ndarray:
    """Colour of each pixel: (F, H, W, 3) float32 RGB in [0, 1]; cards has one card a layer."""
    image = np.empty((view.frames, view.height, view.width, 3), np.float32)
    for frames, order in runs(view):
        for layer in order:
            _draw(view, layer, frames, cards[layer], image)
    return np.clip(image, 0, 1, out=image)


def runs(view: View) -> Iterator[tuple[slice, list[int]]]:
    """Cuts the clip into runs of frames with one drawing order, not larger than a batch: (frames, back to front)."""
    longest = max(1, _BATCH // (view.height * view.width))
    start = 0
    for frame in range(1, view.frames + 1):
        full = frame == view.frames or frame - start == longest
        if full or (view.order[frame] != view.order[start]).any():
            yield slice(start, frame), view.order[start].tolist()
            start = frame


def affine(matrices: np.ndarray, x: np.ndarray, y: np.ndarray, row: int) -> np.ndarray:
    """One row of (n, 3, 3) matrices times (X, Y, 1): X (n, 1 or h, w) and Y (n, h, 1) give (n, h, w) float32."""
    a, b, c = (matrices[:, row, i, None, None].astype(np.float32) for i in range(3))
    return a * x + (b * y + c)


def signed_distance(shape: str, matrices: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Signed distance to a layer's outline in its local units, at screen points.

    Args:
        shape: "half-plane" or an object's shape.
        matrices: (n, 3, 3) screen to plane.
        x: (n, 1 or h, w) screen X.
        y: (n, h, 1) screen Y.

    Returns:
        (n, h, w) float32, negative inside. For a half-plane it is divided by depth, which keeps the sign and makes it
        linear on the screen.
    """
    if shape == HALF_PLANE:
        return affine(matrices, x, y, 1)
    if faces_camera(matrices):
        matrices = matrices / matrices[:, 2:, 2:]
        return SHAPES[shape](affine(matrices, x, y, 0), affine(matrices, x, y, 1))
    depth = 1 / affine(matrices, x, y, 2)
    return SHAPES[shape](affine(matrices, x, y, 0) * depth, affine(matrices, x, y, 1) * depth)


def faces_camera(matrices: np.ndarray) -> bool:
    """True if the planes are parallel to the image in all of (n, 3, 3) screen-to-plane matrices."""
    return bool((np.abs(matrices[:, 2, :2]).max(1) < 1e-9 * np.abs(matrices[:, 2, 2])).all())


def _mark(view: View, layer: int, frames: slice, ids: np.ndarray) -> None:
    shape = view.scene.layers[layer].shape
    if shape == PLANE:
        ids[frames] = layer
        return
    boxes = boxes_of(view, view.extents[layer], frames)
    x, y = boxes.grid()
    inside = signed_distance(shape, view.to_plane[frames, layer], view.screen_x(x), view.screen_y(y)) <= 0
    for n, window in boxes.windows():
        ids[window][inside[n]] = layer


def _draw(view: View, layer: int, frames: slice, card: Card, image: np.ndarray) -> None:
    if view.scene.layers[layer].shape == PLANE:
        for frame in range(frames.start, frames.stop):
            _look_up(view, layer, card, (frame, slice(0, view.height), slice(0, view.width)), image[frame])
        return
    boxes = boxes_of(view, view.extents[layer], frames)
    opacity = _coverage(view, layer, boxes)[..., None].repeat(3, axis=-1)
    surface = np.empty((boxes.height, boxes.width, 3), np.float32)
    for n, window in boxes.windows():
        if surface.size:
            _look_up(view, layer, card, window, surface)
            surface -= image[window]
            surface *= opacity[n]
            image[window] += surface


def _look_up(view: View, layer: int, card: Card, window: tuple[int, slice, slice], out: np.ndarray) -> None:
    """Writes the card's colours, as seen in a window of a frame, into out (h, w, 3)."""
    frame, rows, columns = window
    corner = np.array([[1, 0, columns.start], [0, 1, rows.start], [0, 0, 1.0]])
    matrix = card.from_plane @ view.to_plane[frame, layer] @ view.screen_from_pixel @ corner
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (out.shape[1], out.shape[0])
    cv2.warpPerspective(card.at(frame), matrix, size, dst=out, flags=flags, borderMode=cv2.BORDER_REPLICATE)


def _coverage(view: View, layer: int, boxes: Boxes) -> np.ndarray:
    """Share of each pixel that a layer covers: (n, h, w) float32 in [0, 1]."""
    distance = _distance_px(view, layer, boxes)
    return np.clip(np.float32(0.5) - distance, 0, 1, out=distance)


def _distance_px(view: View, layer: int, boxes: Boxes) -> np.ndarray:
    """Signed distance of each pixel to a layer's outline [px]."""
    shape = view.scene.layers[layer].shape
    matrices = view.to_plane[boxes.frames, layer]
    even = shape == HALF_PLANE or faces_camera(matrices)
    x, y = boxes.grid(margin=0 if even else 1)
    distance = signed_distance(shape, matrices, view.screen_x(x), view.screen_y(y))
    if not even:
        return _by_own_slope(distance)
    if shape == HALF_PLANE:
        scale = view.width / np.hypot(matrices[:, 1, 0], matrices[:, 1, 1])
    else:
        scale = view.width * matrices[:, 2, 2] / np.hypot(matrices[:, 0, 0], matrices[:, 0, 1])
    distance *= scale[:, None, None].astype(np.float32)
    return distance


def _by_own_slope(distance: np.ndarray) -> np.ndarray:
    """Divides (n, h + 2, w + 2) distances by their slope a pixel, which turns any unit into pixels: (n, h, w)."""
    across = distance[:, 1:-1, 2:] - distance[:, 1:-1, :-2]
    down = distance[:, 2:, 1:-1] - distance[:, :-2, 1:-1]
    slope = np.float32(0.5) * np.sqrt(across * across + down * down)
    return distance[:, 1:-1, 1:-1] / np.maximum(slope, np.float32(1e-6))
