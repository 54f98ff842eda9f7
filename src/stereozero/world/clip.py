"""A rendered stereo clip with its ground truth: ``render_clip`` and ``Clip``."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from numbers import Integral, Real

import numpy as np

from stereozero.errors import InputError
from stereozero.world import renderer
from stereozero.world.captions import Facts, caption, facts
from stereozero.world.cards import Card, backdrop_card, object_card
from stereozero.world.geometry import View
from stereozero.world.scenes import Scene
from stereozero.world.shapes import PLANE

Convergence = str | float

_BATCH = 1 << 19  # pixels computed at once


def render_clip(
    scene: Scene,
    frames: int = 16,
    height: int = 64,
    width: int = 96,
    strength: float = 4.0,
    convergence: Convergence = "far",
) -> "Clip":
    """Renders a scene as a rectified stereo pair of clips.

    Nothing is computed before it is asked for: ``render_clip(scene).left`` costs a third of a clip with everything.

    Args:
        scene: what to render.
        frames: number of frames F >= 1; they sample the scene's whole action evenly, first and last included.
        height: H [px], >= 8.
        width: W [px], >= 8.
        strength: disparity between the farthest and the nearest visible depth of the clip, in percent of W, at most
            50. A negative one puts the target camera to the left of the source camera.
        convergence: "far" gives zero disparity to the farthest visible depth, "infinity" makes the cameras parallel,
            a number gives zero disparity to that depth [scene units].

    Returns:
        The clip.

    Raises:
        InputError: an argument is out of range, or a layer comes behind the camera.
    """
    _check_size(frames, height, width)
    _check_strength(strength)
    _check_convergence(convergence)
    clip = Clip(scene, int(frames), int(height), int(width), float(strength), convergence)
    _ = clip.source_view.to_screen  # raises here, not at first use, if a layer comes behind the camera
    return clip


@dataclass(frozen=True, eq=False)
class Clip:
    """A stereo clip of F frames of H x W pixels; made by ``render_clip``.

    The left view is the source, the right view the target. Pixel centres have whole coordinates. A left pixel
    (x, y) and a right pixel (x - disparity_px, y) show the same surface point. With "far" convergence
    disparity_px = strength / 100 * W * disparity. Every array is computed on first use, kept, and read-only.
    Colours are display-referred (sRGB-like) values, blended as they are.

    Attributes:
        scene: what was rendered.
        frames: F.
        height: H [px].
        width: W [px].
        strength: disparity range in percent of W; negative if the target camera is to the left.
        convergence: as given to ``render_clip``.
    """

    scene: Scene
    frames: int
    height: int
    width: int
    strength: float
    convergence: Convergence

    @cached_property
    def source_view(self) -> View:
        """Geometry of the left camera."""
        return View(self.scene, self.frames, self.height, self.width)

    @cached_property
    def target_view(self) -> View:
        """Geometry of the right camera."""
        focal, nearest, farthest = self.scene.camera.focal, *self._inverse_depth_range
        baseline = self.strength / 100 / focal / (nearest - farthest)
        shift = (self._screen_disparity + farthest / (nearest - farthest)) * self.strength / 100
        return replace(self.source_view, baseline=baseline, shift=shift)

    @property
    def baseline(self) -> float:
        """Distance of the right camera from the left one [scene units], to the right if positive."""
        return self.target_view.baseline

    @cached_property
    def caption(self) -> str:
        """What the clip shows, in one English sentence."""
        return caption(self.scene)

    @cached_property
    def facts(self) -> Facts:
        """What the caption says, as data."""
        return facts(self.scene)

    @cached_property
    def left(self) -> np.ndarray:
        """Source frames (F, H, W, 3) float32 RGB in [0, 1]."""
        return _locked(renderer.colours(self.source_view, self._cards(self.source_view)))

    @cached_property
    def right(self) -> np.ndarray:
        """Target frames (F, H, W, 3) float32 RGB in [0, 1]."""
        return _locked(renderer.colours(self.target_view, self._cards(self.target_view)))

    @cached_property
    def layer_ids(self) -> np.ndarray:
        """Index in ``scene.layers`` of what each left pixel centre shows: (F, H, W) uint8."""
        return _locked(renderer.layer_ids(self.source_view))

    @cached_property
    def right_layer_ids(self) -> np.ndarray:
        """Index in ``scene.layers`` of what each right pixel centre shows: (F, H, W) uint8."""
        return _locked(renderer.layer_ids(self.target_view))

    @cached_property
    def depth(self) -> np.ndarray:
        """Depth along the optical axis at left pixel centres: (F, H, W) float32, scene units."""
        return _locked(1 / self._inverse_depth)

    @cached_property
    def disparity(self) -> np.ndarray:
        """Normalised disparity of the left view: (F, H, W) float32 in [0, 1], 1 is the clip's nearest visible depth."""
        return _locked(self._normalised(self._inverse_depth))

    @cached_property
    def disparity_px(self) -> np.ndarray:
        """x_left - x_right at left pixel centres: (F, H, W) float32 [px], signed."""
        return _locked(self._pixels(self.disparity))

    @cached_property
    def right_disparity_px(self) -> np.ndarray:
        """x_left - x_right at right pixel centres: (F, H, W) float32 [px], signed."""
        inverse_depth = _inverse_depth(self.target_view, self.right_layer_ids)
        return _locked(self._pixels(self._normalised(inverse_depth)))

    @cached_property
    def left_hidden(self) -> np.ndarray:
        """True at left pixels whose surface point the right view does not show: (F, H, W) bool."""
        return _locked(_hidden(self.source_view, self.layer_ids, self.disparity_px, self.target_view))

    @cached_property
    def right_hidden(self) -> np.ndarray:
        """True at right pixels whose surface point the left view does not show (disoccluded): (F, H, W) bool."""
        return _locked(_hidden(self.target_view, self.right_layer_ids, -self.right_disparity_px, self.source_view))

    @cached_property
    def flow(self) -> np.ndarray:
        """Motion (dx, dy) [px] of each left pixel's surface point to the next frame: (F - 1, H, W, 2) float32."""
        return _locked(motion(self.source_view, self.layer_ids[:-1], slice(0, -1), slice(1, None)))

    @cached_property
    def backward_flow(self) -> np.ndarray:
        """Motion (dx, dy) [px] of frame t + 1's surface points to frame t: (F - 1, H, W, 2) float32, entry t."""
        return _locked(motion(self.source_view, self.layer_ids[1:], slice(1, None), slice(0, -1)))

    @cached_property
    def _inverse_depth(self) -> np.ndarray:
        return _inverse_depth(self.source_view, self.layer_ids)

    @cached_property
    def _inverse_depth_range(self) -> tuple[float, float]:
        nearest, farthest = float(self._inverse_depth.max()), float(self._inverse_depth.min())
        if nearest - farthest < 1e-4 * nearest:
            raise InputError("scene: everything visible has one depth, so no baseline gives the wanted strength")
        return nearest, farthest

    @property
    def _screen_disparity(self) -> float:
        """Normalised disparity of the depth at which the two views coincide."""
        nearest, farthest = self._inverse_depth_range
        if self.convergence == "far":
            return 0.0
        inverse_depth = 0.0 if self.convergence == "infinity" else 1 / float(self.convergence)
        return (inverse_depth - farthest) / (nearest - farthest)

    @cached_property
    def _object_cards(self) -> list[Card]:
        first = len(self.scene.backdrops)
        return [object_card(self.source_view, index) for index in range(first, len(self.scene.layers))]

    def _cards(self, view: View) -> list[Card]:
        backs = range(len(self.scene.backdrops))
        return [backdrop_card(view, index, self.source_view) for index in backs] + self._object_cards

    def _normalised(self, inverse_depth: np.ndarray) -> np.ndarray:
        nearest, farthest = self._inverse_depth_range
        return (inverse_depth - np.float32(farthest)) / np.float32(nearest - farthest)

    def _pixels(self, disparity: np.ndarray) -> np.ndarray:
        span = np.float32(self.strength / 100 * self.width)
        return span * (disparity - np.float32(self._screen_disparity))


def _inverse_depth(view: View, ids: np.ndarray) -> np.ndarray:
    """1 / depth at pixel centres, by the layer that each shows: (F, H, W) float32."""
    result = np.empty(ids.shape, np.float32)
    x, y = _screen_grid(view)
    for frames in _batches(view):
        a, b, c = _pick(view.to_plane[frames, :, 2], ids[frames])
        result[frames] = a * x + b * y + c
    return result


def motion(view: View, ids: np.ndarray, here: slice | Sequence[int], there: slice | int) -> np.ndarray:
    """Motion of the surface points seen in some frames to where they are in others.

    Args:
        view: the camera.
        ids: (n, H, W) index of the layer that each pixel of the frames shows.
        here: which n frames.
        there: n other frames, or one for all.

    Returns:
        (n, H, W, 2) float32 (dx, dy) [px].
    """
    matrices = view.to_screen[there] @ view.to_plane[here]
    flow = np.empty((*ids.shape, 2), np.float32)
    x, y = _screen_grid(view)
    for frames in _batches(view, len(ids)):
        m = _pick(matrices[frames].reshape(-1, len(view.scene.layers), 9), ids[frames])
        scale = view.width / (m[6] * x + m[7] * y + m[8])
        flow[frames, ..., 0] = (m[0] * x + m[1] * y + m[2]) * scale - np.float32(view.width) * x
        flow[frames, ..., 1] = (m[3] * x + m[4] * y + m[5]) * scale - np.float32(view.width) * y
    return flow


def _hidden(view: View, ids: np.ndarray, shift: np.ndarray, other: View) -> np.ndarray:
    """True where the point a pixel shows is outside the other view or behind a nearer layer there.

    shift (F, H, W) [px] leads to the other view: x_other = x - shift.
    """
    x_other = np.arange(view.width, dtype=np.float32) - shift
    hidden = (x_other < -0.5) | (x_other > view.width - 0.5)
    for frames, order in renderer.runs(view):
        ranks = np.take(view.rank[frames.start], ids[frames])
        for rank, layer in enumerate(order):
            if view.scene.layers[layer].shape != PLANE:
                _hide_behind(layer, ranks < rank, (x_other, hidden), shift, other, frames)
    return hidden


def _hide_behind(
    layer: int,
    behind: np.ndarray,
    points: tuple[np.ndarray, np.ndarray],
    shift: np.ndarray,
    other: View,
    frames: slice,
) -> None:
    """Marks in points[1] the pixels behind a layer whose positions in the other view, points[0], it covers."""
    x_other, hidden = points
    reach = shift[frames].min(), shift[frames].max()
    extents = other.extents[layer] + [reach[0], 0, reach[1], 0]
    boxes = renderer.boxes_of(other, extents, frames)
    windows = list(boxes.windows())
    x = np.stack([x_other[window] for _, window in windows])
    y = other.screen_y(boxes.grid()[1])
    shape = other.scene.layers[layer].shape
    covered = renderer.signed_distance(shape, other.to_plane[frames, layer], other.screen_x(x), y) <= 0
    for n, window in windows:
        hidden[window] |= covered[n] & behind[(n, *window[1:])]


def _pick(table: np.ndarray, ids: np.ndarray) -> list[np.ndarray]:
    """Per-pixel coefficients from a table (n, L, C) by layer ids (n, H, W): C arrays (n, H, W) float32."""
    count, layers, coefficients = table.shape
    index = ids + np.arange(0, count * layers, layers)[:, None, None]
    columns = table.reshape(-1, coefficients).T.astype(np.float32)
    return [np.take(column, index, mode="clip") for column in columns]


def _screen_grid(view: View) -> tuple[np.ndarray, np.ndarray]:
    return view.screen_x(np.arange(view.width)), view.screen_y(np.arange(view.height)[:, None])


def _batches(view: View, frames: int | None = None) -> Iterator[slice]:
    frames = view.frames if frames is None else frames
    step = max(1, _BATCH // (view.height * view.width))
    for start in range(0, frames, step):
        yield slice(start, min(frames, start + step))


def _locked(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


def _check_size(frames: int, height: int, width: int) -> None:
    for name, value, least in (("frames", frames, 1), ("height", height, 8), ("width", width, 8)):
        if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
            raise InputError(f"render_clip: {name} is {value!r}: give a whole number of at least {least}")


def _check_strength(strength: float) -> None:
    number = isinstance(strength, Real) and not isinstance(strength, bool) and math.isfinite(strength)
    if not number or strength == 0 or abs(strength) > 50:
        raise InputError(
            f"render_clip: strength is {strength!r}: give percent of the image width between -50 and 50, but not 0 "
            "(for a copy of the left view, use the left view)"
        )


def _check_convergence(convergence: Convergence) -> None:
    if convergence in ("far", "infinity"):
        return
    if not isinstance(convergence, Real) or isinstance(convergence, bool) or not 0 < convergence < math.inf:
        raise InputError(
            f"render_clip: convergence is {convergence!r}: use 'far', 'infinity' or a positive depth in scene units"
        )
