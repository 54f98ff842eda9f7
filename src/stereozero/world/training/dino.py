"""Self-supervised training of the embedded image features, a small transformer of DINOv2's layout.

Like DINOv2 it learns from images alone, without captions or classes, and its patch tokens are what counts. Unlike
DINOv2, whose losses need far more images, it is told which points of two views are the same: the world knows. Tokens
of the same point are pulled together and those of other points and pictures pushed apart (dense contrastive learning,
InfoNCE, arXiv 1807.03748), as is the class token of the two views. Some patches of one view are hidden behind the mask
token, as in DINOv2. Views are cut and zoomed independently of each other, so that the place in the picture tells
nothing. Pictures of noise take part as pictures that nothing is alike to.
"""

from dataclasses import asdict, dataclass

import numpy as np
import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from stereozero.metrics.met3r.score import normalise
from stereozero.vision_transformer import VisionTransformer, VitConfig
from stereozero.world.training.data import step_rng
from stereozero.world.training.loop import Optimisation
from stereozero.world.training.stereo_pool import StereoPool


@dataclass(frozen=True)
class DinoSettings:
    """Choices of the feature model and its training.

    Attributes:
        network: the model's shape.
        pairs: of views a step.
        points: compared in each pair.
        noise: pictures of noise a step.
        zoom: largest enlargement of a view.
        drift: how far the centre of one view's cut may be from the other's [half of the frame's sides].
        jitter: largest change of one view's brightness and contrast.
        hidden: share of one view's patches behind the mask token.
        temperature: of the contrastive losses.
        near: points of one picture closer than this are not told apart [px of the frame].
        picture_share: weight of the class tokens' loss.
        how: the descent.
    """

    network: VitConfig = VitConfig(image_size=96, patch_size=8, width=128, depth=5, heads=4)  # noqa: RUF009, frozen
    pairs: int = 16
    points: int = 48
    noise: int = 2
    zoom: float = 2.0
    drift: float = 0.3
    jitter: float = 0.1
    hidden: float = 0.2
    temperature: float = 0.1
    near: float = 8.0
    picture_share: float = 0.5
    how: Optimisation = Optimisation(rate=1e-3, warmup=100)  # noqa: RUF009, frozen


@dataclass(frozen=True, eq=False)
class ViewPairs:
    """A batch: two cut-outs of each pair, and points that both show.

    Attributes:
        first, second: (B, 3, H, W) in [0, 1].
        here, there: (B, P, 2), x and y of each point in the first and in the second cut-out [-1 to 1, edge to edge].
        source: (B, P, 2), x and y of each point in the left frame [px].
        shown: (B, P) bool, False where the second cut-out does not show the point.
    """

    first: Tensor
    second: Tensor
    here: Tensor
    there: Tensor
    source: Tensor
    shown: Tensor


def build_dino(settings: DinoSettings) -> VisionTransformer:
    """Return the untrained network; its weights follow from the seed."""
    torch.manual_seed(settings.how.seed)
    network = VisionTransformer(settings.network)
    for name, parameter in network.named_parameters():
        if parameter.ndim > 1:
            nn.init.trunc_normal_(parameter, std=0.02)
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)
    return network


class DinoTask:
    """The contrastive losses of random pairs; see :class:`~stereozero.world.training.loop.Task`."""

    def __init__(self, pool: StereoPool, settings: DinoSettings):
        self.module = build_dino(settings)
        self.settings = asdict(settings)
        self._pool, self._choices = pool, settings

    def losses(self, step: int) -> dict[str, Tensor]:
        """Return "loss", its parts "points" and "pictures", and "found", the share of points whose own comes first."""
        choices, rng = self._choices, step_rng(self._choices.how.seed, step)
        views = draw_pairs(self._pool, rng, choices)
        noise = draw_noise(rng, choices.noise, views.first.shape[-2:])  # (N, 3, H, W)
        classes, patches = self._features(
            jittered(views.first, rng, choices.jitter), self._draw_masks(rng, views.first.shape)
        )
        other_classes, other_patches = self._features(views.second)
        _, strangers = self._features(noise)  # (N, D, h, w)
        points, found = point_loss(
            sampled(patches, views.here.to(patches)),
            sampled(other_patches, views.there.to(patches)),
            strangers.flatten(2).transpose(1, 2).flatten(0, 1),
            views,
            choices,
        )
        pictures = picture_loss(classes, other_classes, choices.temperature)
        loss = points + choices.picture_share * pictures
        return {"loss": loss, "points": points, "pictures": pictures, "found": found}

    def _features(self, images: Tensor, masks: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the class tokens (B, D) and the patch tokens as pictures (B, D, h, w)."""
        device = self.module.pos_embed.device
        hidden = None if masks is None else masks.to(device)
        tokens = self.module.forward_features(normalise(images.to(device)), hidden)
        rows = images.shape[2] // self.module.patch_size
        return tokens["x_norm_clstoken"], tokens["x_norm_patchtokens"].transpose(1, 2).unflatten(2, (rows, -1))

    def _draw_masks(self, rng: np.random.Generator, shape: torch.Size) -> Tensor:
        patches = (shape[2] // self.module.patch_size) * (shape[3] // self.module.patch_size)
        return torch.from_numpy(rng.random((shape[0], patches)) < self._choices.hidden)


def draw_pairs(pool: StereoPool, rng: np.random.Generator, choices: DinoSettings) -> ViewPairs:
    """Draw pairs of views, cut out independently of each other, half of them mirrored both."""
    which = rng.choice(len(pool.left), size=choices.pairs, replace=False)
    left, right = (_unit(views[which]) for views in (pool.left, pool.right))  # (B, 3, H, W) each
    height, width = left.shape[-2:]
    cut = _draw_cut(rng, choices, None)  # (B, 4)
    other = _draw_cut(rng, choices, cut)  # (B, 4)
    here = torch.from_numpy(rng.uniform(-1, 1, (choices.pairs, choices.points, 2))).float()  # (B, P, 2)
    at = _to_frame(here, cut)  # (B, P, 2), edge to edge
    disparity = torch.from_numpy(pool.disparity[which].astype(np.float32))[:, None]  # (B, 1, H, W)
    moved = nnf.grid_sample(disparity, at[:, None], mode="nearest", align_corners=False)[:, 0, 0]  # (B, P) [px]
    there = _from_frame(at - torch.stack([moved * 2 / width, torch.zeros_like(moved)], dim=-1), other)  # (B, P, 2)
    shown = ~moved.isnan() & (there.abs() < 1).all(dim=-1)  # (B, P)
    return ViewPairs(
        first=_cut_out(left, cut),
        second=_cut_out(right, other),
        here=here,
        there=there.nan_to_num(),
        source=(at + 1) * torch.tensor([width, height]) / 2,
        shown=shown,
    )


def draw_noise(rng: np.random.Generator, count: int, size: tuple[int, int]) -> Tensor:
    """Draw pictures of noise in [0, 1], each of another grain: (count, 3, H, W)."""
    grains = rng.choice([1, 2, 4], size=count)
    pictures = [torch.from_numpy(rng.random((1, 3, size[0] // grain, size[1] // grain))).float() for grain in grains]
    return torch.cat([nnf.interpolate(picture, size, mode="nearest") for picture in pictures])


def jittered(images: Tensor, rng: np.random.Generator, amount: float) -> Tensor:
    """Change brightness and contrast of images (B, 3, H, W) in [0, 1] a little, each by its own amounts."""
    gain, offset = torch.from_numpy(rng.uniform(-amount, amount, (2, len(images), 1, 1, 1))).float()
    return (0.5 + (images - 0.5) * (1 + gain) + offset).clamp(0, 1)


def sampled(features: Tensor, places: Tensor) -> Tensor:
    """Sample features (B, D, h, w) bilinearly at places (B, P, 2), edges at -1 and 1: (B, P, D)."""
    return nnf.grid_sample(features, places[:, None], align_corners=False)[:, :, 0].transpose(1, 2)


def point_loss(
    own: Tensor, other: Tensor, strangers: Tensor, views: ViewPairs, choices: DinoSettings
) -> tuple[Tensor, Tensor]:
    """Return the contrastive loss of points and the share of them that find their own.

    Args:
        own, other: (B, P, D), of each point in the first and in the second view.
        strangers: (N, D), features that belong to no point.
        views: the points.
        choices: temperature, and which points are too near to each other to be told apart.
    """
    candidates = torch.cat([other.flatten(0, 1), strangers])  # (B P + N, D)
    cosine = nnf.normalize(own.flatten(0, 1), dim=-1) @ nnf.normalize(candidates, dim=-1).T  # (B P, B P + N)
    shown = views.shown.flatten().to(cosine.device)  # (B P,)
    count = len(shown)
    apart = torch.cdist(views.source, views.source) >= choices.near  # (B, P, P)
    alike = torch.block_diag(*~apart).bool().to(cosine.device) & ~torch.eye(count, dtype=torch.bool).to(cosine.device)
    logits = cosine / choices.temperature
    logits[:, :count] = logits[:, :count].masked_fill(alike | ~shown, -torch.inf)
    target = torch.arange(count, device=cosine.device)
    found = (logits[shown].argmax(dim=1) == target[shown]).float().mean()
    return nnf.cross_entropy(logits[shown], target[shown]), found


def picture_loss(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Return the contrastive loss of class tokens (B, D), both ways."""
    logits = nnf.normalize(first, dim=-1) @ nnf.normalize(second, dim=-1).T / temperature  # (B, B)
    own = torch.arange(len(first), device=first.device)
    return (nnf.cross_entropy(logits, own) + nnf.cross_entropy(logits.T, own)) / 2


def _unit(frames: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(frames)).movedim(-1, 1).float() / 255


def _draw_cut(rng: np.random.Generator, choices: DinoSettings, near: Tensor | None) -> Tensor:
    """Draw cut-outs (B, 4): scale of x and of y, centre x and y, in frames that reach from -1 to 1.

    With ``near`` the centres are close to those of other cut-outs, and the same are mirrored (negative scale of x).
    """
    size = 1 / rng.uniform(1, choices.zoom, choices.pairs)
    centre = rng.uniform(-1, 1, (2, choices.pairs)) * (1 - size)
    mirror = np.where(rng.random(choices.pairs) < 0.5, -1, 1)
    if near is not None:
        room = 1 - size
        centre = np.clip(near[:, 2:].numpy().T + rng.uniform(-1, 1, centre.shape) * choices.drift, -room, room)
        mirror = np.sign(near[:, 0].numpy())
    return torch.from_numpy(np.stack([mirror * size, size, *centre], axis=1)).float()


def _to_frame(places: Tensor, cut: Tensor) -> Tensor:
    return places * cut[:, None, :2] + cut[:, None, 2:]


def _from_frame(places: Tensor, cut: Tensor) -> Tensor:
    return (places - cut[:, None, 2:]) / cut[:, None, :2]


def _cut_out(images: Tensor, cut: Tensor) -> Tensor:
    matrix = torch.zeros(len(images), 2, 3)
    matrix[:, 0, 0], matrix[:, 1, 1], matrix[:, :, 2] = cut[:, 0], cut[:, 1], cut[:, 2:]
    grid = nnf.affine_grid(matrix, list(images.shape), align_corners=False)  # (B, H, W, 2)
    return nnf.grid_sample(images, grid, padding_mode="border", align_corners=False)
