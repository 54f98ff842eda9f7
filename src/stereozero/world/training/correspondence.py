"""Teaches attention where things come from: the world knows it, and the denoising loss alone teaches it slowly.

In a generated frame, what an object looks like should be taken from the place in the first frame where it was, whose
latents every frame has beside its own. So some heads of some self-attentions get a second loss: each position should
attend to the place where it lay in the first frame. A cell at an object's outline lay in two places: what it shows of
the object comes from where the object was, what it shows of the wall behind that from there. One head learns the one,
one the other. The network stays what it is; nothing of this is needed to sample from it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as nnf
from scipy.ndimage import maximum_filter
from torch import Tensor

from stereozero.backbones.dynamicrafter.attention import Attention, Projections
from stereozero.world import Scene
from stereozero.world.clip import motion
from stereozero.world.geometry import View
from stereozero.world.renderer import layer_ids


@dataclass(frozen=True, eq=False)
class Origins:
    """Where the surface points at a clip's positions were in its first frame; F frames of h x w cells.

    Attributes:
        places: (F, h, w, 2) x and y in the first frame [cells], cell centres having whole numbers.
        known: (F, h, w) bool, whether the first frame shows the point.
        on_object: (F, h, w) bool, whether the point is an object's, and not a wall's or floor's.
        on_main: (F, h, w) bool, whether it is the main object's.
    """

    places: np.ndarray
    known: np.ndarray
    on_object: np.ndarray
    on_main: np.ndarray


@dataclass(frozen=True, eq=False)
class Targets:
    """What some positions should attend to; N frames, of each the same P of its L positions.

    Attributes:
        positions: which positions, counted row by row.
        index: (N, P, 4) the cells about the place that is right.
        share: (N, P, 4) bilinear weights, with the sum 1.
        weight: (N, P) what a position counts in the loss, as in :func:`balanced`.
    """

    positions: slice
    index: Tensor
    share: Tensor
    weight: Tensor

    def to(self, device: torch.device) -> "Targets":
        """Return the same on a device."""
        return Targets(self.positions, *(each.to(device) for each in (self.index, self.share, self.weight)))


def find_origins(scene: Scene, count: int, frames: Sequence[int], height: int, width: int) -> Origins:
    """Find where the surface points seen in some frames of a scene were in the first of these frames.

    Args:
        scene: what is seen.
        count: frames of the whole action, as rendered.
        frames: which of them, the first one being that which the others are compared with.
        height, width: h and w, cells of a frame; of the frame's aspect.
    """
    view = View(scene, count, height, width)
    return _origins(view, layer_ids(view)[frames], frames)


def find_object_origins(scene: Scene, count: int, frames: Sequence[int], height: int, width: int) -> Origins:
    """Find the same, but let cells next to an object move with it, as if it were a cell larger on every side.

    A cell that shows an object's outline shows something of the object, whatever is seen at its centre. First frames
    whose latents are moved so keep the outlines of objects; moved by what is seen at the centres, they break them.

    Args:
        scene, count, frames, height, width: as in :func:`find_origins`.

    Returns:
        "on_object", "on_main" and "known" are those of the enlarged objects. Where several meet, the main object is
        seen or else the nearest one.
    """
    view = View(scene, count, height, width)
    return _origins(view, _enlarged(view, layer_ids(view))[frames], frames)


def _origins(view: View, ids: np.ndarray, frames: Sequence[int]) -> Origins:
    # Of the layers (F, h, w) that some frames show.
    scene, (height, width) = view.scene, ids.shape[1:]
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1)  # (h, w, 2)
    places = grid + motion(view, ids, frames, frames[0])  # (F, h, w, 2)
    return Origins(places, _shows(ids[0], places, ids), ids >= len(scene.backdrops), ids == scene.main)


def _enlarged(view: View, ids: np.ndarray) -> np.ndarray:
    # Layers (F, h, w), a cell showing what is nearest in any of the 3 x 3 about it, and the main object before others.
    layers, main = len(view.scene.layers), view.scene.main
    rank = view.rank.copy()  # (F, L), backdrops first
    rank[:, main] = layers
    layer_of = np.insert(view.order, layers, main, axis=1)  # (F, L + 1), by rank
    frames = np.arange(len(ids))[:, None, None]
    nearest = maximum_filter(rank[frames, ids], size=(1, 3, 3), mode="nearest")  # (F, h, w)
    return np.where(nearest < len(view.scene.backdrops), ids, layer_of[frames, nearest])


def targets_of(origins: Sequence[Origins], positions: slice = slice(None)) -> Targets:
    """Return what positions in clips with these origins should attend to, clip by clip and frame by frame."""
    places, known = (np.concatenate([getattr(one, name) for one in origins]) for name in ("places", "known"))
    height, width = known.shape[1:]
    limit = np.array([width - 1, height - 1])
    places = places.clip(0, limit)
    corner = np.minimum(np.floor(places), limit - 1).astype(np.int64)  # (N, h, w, 2), left and above
    right, below = np.moveaxis(places - corner, -1, 0)  # (N, h, w) each, in [0, 1]
    first = corner[..., 1] * width + corner[..., 0]  # (N, h, w)
    index = np.stack([first, first + 1, first + width, first + width + 1], axis=-1)  # (N, h, w, 4)
    share = np.stack(
        [(1 - right) * (1 - below), right * (1 - below), (1 - right) * below, right * below], axis=-1
    )  # (N, h, w, 4)
    index, share, weight = (
        each.reshape(len(each), height * width, *each.shape[3:])[:, positions]
        for each in (index, share, balanced(origins))
    )  # (N, P, ...)
    return Targets(positions, *map(torch.from_numpy, (index, share.astype(np.float32), _summing_to_one(weight))))


class TaughtAttention:
    """An attention processor that is fast on a CPU and, if taught, notes how wrong its first heads look.

    Only evaluations with gradients are noted.

    With heads as narrow as the embedded generator's, a training step on a CPU takes 1.1 s with plain operations in
    bfloat16 and 1.5 s with torch's scaled_dot_product_attention, whichever of its kernels is used. In float32, on
    another CPU, it takes 2.9 s with plain operations and 2.6 s with the latter.

    Args:
        taught: how many of the attention's first heads are; of an attention with fewer, all.

    Attributes:
        targets: what these should attend to in the next evaluation, one each, by the number of positions; must be set
            before it if there are any. May have more, for other attentions.
        positions: of the last evaluation that was noted.
    """

    def __init__(self, *, taught: int = 0):
        self.taught = taught
        self.targets: Mapping[int, Sequence[Targets]] = {}
        self.positions = 0
        self._loss: Tensor | None = None

    def take_loss(self) -> Tensor:
        """Return the cross-entropy of the last evaluation [nats], a scalar, and forget it."""
        loss, self._loss = self._loss, None
        return loss

    def __call__(self, attention: Attention, projections: Projections) -> Tensor:
        """Return the attended values (N, Lq, D)."""
        headed = [
            None if tokens is None else tokens.unflatten(-1, (attention.heads, -1)).transpose(1, 2)
            for tokens in projections
        ]
        query, key, value, image_key, image_value = headed  # (N, heads, L, D / heads) each
        if self.taught and torch.is_grad_enabled():
            self._note(query, key)
        attended = _attended(query, key, value)  # (N, Lq, D)
        if image_key is None:
            return attended
        return attended + _attended(query, image_key, image_value) * attention.image_weight()

    def _note(self, query: Tensor, key: Tensor) -> None:
        # Scores are computed once more for some queries; a gradient of parts of all of them would take longer.
        self.positions = key.shape[2]
        taught = self.targets[self.positions][: min(self.taught, key.shape[1])]
        losses = [
            attention_loss(_scores(query[:, head, None, targets.positions], key[:, head, None]), targets)
            for head, targets in enumerate(taught)
        ]
        self._loss = torch.stack(losses).mean()


def mean_taught_loss(processors: Sequence[TaughtAttention]) -> Tensor:
    """Take the losses of taught attentions and return their mean [nats], each counting as many times as it has cells.

    What objects look like comes through the finest level; coarser ones tell it roughly where to look.
    """
    losses = torch.stack([processor.take_loss() for processor in processors])
    counts = torch.tensor([processor.positions for processor in processors], device=losses.device)
    return (losses * counts).sum() / counts.sum()


def attention_loss(scores: Tensor, targets: Targets) -> Tensor:
    """Return the cross-entropy [nats] of the positions' attention scores (N, heads, P, L), a scalar."""
    scores = scores.float()
    index = targets.index[:, None].expand(-1, scores.shape[1], -1, -1)  # (N, heads, P, 4)
    right = (scores.gather(-1, index) * targets.share[:, None]).sum(dim=-1)  # (N, heads, P)
    return ((scores.logsumexp(dim=-1) - right).mean(dim=1) * targets.weight).sum()


def balanced(origins: Sequence[Origins]) -> np.ndarray:
    """Return what cells of clips with these origins count, (N, h, w) float32, the sum of all being 1.

    Where a point comes from is hard to tell on the main object, which moves, and it has few cells. So these count half
    in all, those of the other objects and those of the background a quarter each; only known ones count.
    """
    known, on_object, on_main = (
        np.concatenate([getattr(one, name) for one in origins]) for name in ("known", "on_object", "on_main")
    )  # (N, h, w) each
    groups = ((0.5, on_main), (0.25, on_object & ~on_main), (0.25, ~on_object))
    weight = sum(share * (known & group) / max(1, (known & group).sum()) for share, group in groups)
    return _summing_to_one(weight).astype(np.float32)


def _summing_to_one(weight: np.ndarray) -> np.ndarray:
    # Zeros, where nothing is known, stay zeros.
    return weight / max(weight.sum(), np.finfo(np.float32).tiny)


def _scores(query: Tensor, key: Tensor) -> Tensor:
    with torch.autocast(query.device.type, enabled=False):
        return (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)  # (N, heads, Lq, Lk)


def _attended(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    # (N, heads, Lq, d), (N, heads, Lk, d) twice -> (N, Lq, D)
    with torch.autocast(query.device.type, enabled=False):  # which would turn the softmax to float32
        if query.dtype == torch.float32:
            attended = nnf.scaled_dot_product_attention(query, key, value)
        else:
            attended = _scores(query, key).softmax(dim=-1) @ value  # (N, heads, Lq, d)
        return attended.transpose(1, 2).flatten(2)


def _shows(first: np.ndarray, places: np.ndarray, ids: np.ndarray) -> np.ndarray:
    # Whether the first frame's layers (h, w) show, at the cells nearest to the places, the points' own layers.
    x, y = np.moveaxis(np.rint(places), -1, 0).astype(np.int64)  # (F, h, w) each
    inside = (x >= 0) & (x < first.shape[1]) & (y >= 0) & (y < first.shape[0])
    return inside & (first[y.clip(0, first.shape[0] - 1), x.clip(0, first.shape[1] - 1)] == ids)
