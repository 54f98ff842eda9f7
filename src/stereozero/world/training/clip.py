"""Contrastive training of the embedded text and image encoder, an open_clip CLIP, on frames and their captions."""

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as nnf
from torch import Tensor

from stereozero.backbones.clip_image import prepare_image
from stereozero.backbones.clip_text import known_tokens
from stereozero.backbones.dynamicrafter import ClipConditioner
from stereozero.world import VOCABULARY
from stereozero.world.training.data import ClipPool, step_rng, to_pixels
from stereozero.world.training.loop import Optimisation

_MARKS = (",", ".")  # known beside the vocabulary


@dataclass(frozen=True)
class ClipSettings:
    """Choices of the encoder and its training.

    The tokenizer is open_clip's own, but of its 49408 tokens only those have an embedding that captions of the world
    consist of; all others are one unknown token, whose embedding is 0.

    Attributes:
        embed_dim: of the shared space of texts and images.
        image_size: side of the square picture that the image tower sees [px].
        patch_size: of its patches [px].
        image_width, image_layers: of the image tower.
        text_width, text_layers: of the text tower.
        head_width: of every attention head.
        batch: pairs a step, each the other's counter-example.
        how: the descent.
    """

    embed_dim: int = 64
    image_size: int = 64
    patch_size: int = 8
    image_width: int = 96
    image_layers: int = 3
    text_width: int = 48
    text_layers: int = 3
    head_width: int = 16
    batch: int = 64
    how: Optimisation = Optimisation(rate=2e-3, warmup=100)  # noqa: RUF009, it is frozen


def build_conditioner(settings: ClipSettings) -> ClipConditioner:
    """Return the untrained encoder; its weights follow from the seed."""
    torch.manual_seed(settings.how.seed)
    known = known_tokens([*sorted(VOCABULARY), *_MARKS])
    vision = {
        "image_size": settings.image_size,
        "patch_size": settings.patch_size,
        "width": settings.image_width,
        "layers": settings.image_layers,
        "head_width": settings.head_width,
    }
    text = {
        "context_length": 77,
        "vocab_size": len(known) + 1,
        "width": settings.text_width,
        "heads": settings.text_width // settings.head_width,
        "layers": settings.text_layers,
    }
    return ClipConditioner(settings.embed_dim, vision, text, known_tokens=known)


class ClipTask:
    """The contrastive loss of random frames and their captions; see :class:`~stereozero.world.training.loop.Task`."""

    def __init__(self, pool: ClipPool, settings: ClipSettings):
        self.module = build_conditioner(settings)
        self.settings = asdict(settings)
        self._pool, self._choices = pool, settings
        self._tokens = self.module.tokenize(pool.captions)  # (N, 77)

    def losses(self, step: int) -> dict[str, Tensor]:
        """Return "loss" and "right", the share of frames whose own caption comes first in the batch."""
        choices, device = self._choices, self.module.device
        rng = step_rng(choices.how.seed, step)
        clips = rng.choice(len(self._pool.videos), size=choices.batch, replace=False)
        times = rng.integers(self._pool.settings.frames, size=choices.batch)
        # Not mirrored: no caption would say that the letter L is.
        pixels = to_pixels(self._pool.videos[clips, times]).to(device)  # (B, 3, H, W)
        similarity = self._compare(pixels, self._tokens[clips].to(device))  # (B, B)
        logits = self.module.model.logit_scale.exp().clamp(max=100) * similarity  # (B, B)
        own = torch.arange(choices.batch, device=device)
        loss = (nnf.cross_entropy(logits, own) + nnf.cross_entropy(logits.T, own)) / 2
        return {"loss": loss, "right": (logits.argmax(1) == own).float().mean()}

    def _compare(self, pixels: Tensor, tokens: Tensor) -> Tensor:
        return similarities(self.module, pixels, tokens)


def similarities(conditioner: ClipConditioner, pixels: Tensor, tokens: Tensor) -> Tensor:
    """Return the cosine of each picture (A, 3, H, W) in [-1, 1] with each text (B, 77): (A, B)."""
    model = conditioner.model
    images = model.encode_image(prepare_image(pixels, model.visual.image_size[0]), normalize=True)  # (A, E)
    return images @ model.encode_text(tokens, normalize=True).T
