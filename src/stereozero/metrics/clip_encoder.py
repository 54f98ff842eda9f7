"""CLIP models for scoring, through open_clip: OpenAI's ViT-B/32, or a small one of the project's own."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import open_clip
import torch
from PIL import Image
from torch import Tensor

from stereozero.backbones.clip_image import CLIP_MEAN, CLIP_STD
from stereozero.backbones.clip_text import ClipTokenizer
from stereozero.backbones.dynamicrafter import ClipConditioner
from stereozero.checkpoint_file import check_keys, read_checkpoint
from stereozero.errors import InputError
from stereozero.metrics.clip import Preparation

OPENAI_VIT_B_32 = "ViT-B-32-quickgelu"  # open_clip's name of OpenAI's architecture


@dataclass(frozen=True, eq=False)
class ClipEncoder:
    """An open_clip model that embeds frames and texts; see :class:`stereozero.metrics.clip.Encoder`.

    Args:
        model: in eval mode.
        tokenizer: of its texts.
        batch: frames at a time.
    """

    model: open_clip.CLIP
    tokenizer: ClipTokenizer
    batch: int = 64

    @classmethod
    def openai(cls, path: Path, *, device: str = "cpu", batch: int = 64) -> Self:
        """Load OpenAI's ViT-B/32 from open_clip's published file (timm/vit_base_patch32_clip_224.openai).

        Raises:
            InputError: no such file; damaged; or keys missing, unexpected or of another shape.
        """
        model = open_clip.CLIP(**open_clip.get_model_config(OPENAI_VIT_B_32))
        tensors = read_checkpoint(path)
        check_keys(path, tensors, model.state_dict())
        model.load_state_dict(tensors)
        return cls(_ready(model, device), ClipTokenizer(model.context_length), batch)

    @classmethod
    def saved(cls, folder: Path, *, device: str = "cpu", batch: int = 64) -> Self:
        """Load a saved folder: config.json with open_clip's settings, and the weights.

        Raises:
            InputError: the folder holds no such model.
        """
        try:
            # Without this flag diffusers asks for accelerate in a warning.
            conditioner = ClipConditioner.from_pretrained(folder, torch_dtype=torch.float32, low_cpu_mem_usage=False)
        except (OSError, ValueError, TypeError) as error:
            raise InputError(f"{folder}: holds no saved CLIP (config.json and weights): {error}") from error
        return cls(_ready(conditioner.model, device), conditioner.tokenizer, batch)

    @torch.no_grad()
    def embed_frames(self, video: np.ndarray, preparation: Preparation) -> np.ndarray:
        """Return the embeddings of (F, H, W, 3) uint8 RGB frames: (F, E) float64 of length 1."""
        size = self.model.visual.image_size[0]
        batches = (prepare_frames(video[part], size, preparation) for part in self._parts(len(video)))
        return np.concatenate([_plain(self.model.encode_image(batch.to(self._device))) for batch in batches])

    @torch.no_grad()
    def embed_text(self, text: str) -> np.ndarray:
        """Return the embedding of a text, cut to the model's length: (E,) float64 of length 1."""
        tokens = self.tokenizer([text]).to(self._device)  # (1, L)
        return _plain(self.model.encode_text(tokens))[0]

    def excess_tokens(self, text: str) -> int:
        """Return how many tokens of a text are cut off, start and end counted in the model's length."""
        return max(0, self.tokenizer.length(text) - self.model.context_length)

    @property
    def _device(self) -> torch.device:
        return self.model.logit_scale.device

    def _parts(self, frames: int) -> Iterator[slice]:
        return (slice(start, start + self.batch) for start in range(0, frames, self.batch))


def prepare_frames(video: np.ndarray, size: int, preparation: Preparation) -> Tensor:
    """Bring 8-bit frames to the model's size and normalise them for CLIP.

    Bicubic as Pillow does it, filtered where the frame shrinks and rounded to 8 bits, as OpenAI's CLIP does.

    Args:
        video: (F, H, W, 3) uint8 RGB.
        size: side of the model's square picture [px].
        preparation: "crop": short side to `size`, then the centre; "squeeze": the whole frame, aspect not kept.

    Returns:
        (F, 3, size, size) float32.
    """
    height, width = video.shape[1:3]
    resized = (size, size) if preparation == "squeeze" else _short_side_to(size, width, height)
    left, top = (round((length - size) / 2) for length in resized)
    frames = [np.asarray(Image.fromarray(frame).resize(resized, Image.Resampling.BICUBIC)) for frame in video]
    pictures = np.stack(frames)[:, top : top + size, left : left + size]  # (F, size, size, 3)
    unit = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255  # (F, 3, size, size)
    mean, std = (torch.tensor(values)[:, None, None] for values in (CLIP_MEAN, CLIP_STD))
    return (unit - mean) / std


def _short_side_to(size: int, width: int, height: int) -> tuple[int, int]:
    if width <= height:
        return size, int(size * height / width)
    return int(size * width / height), size


def _ready(model: open_clip.CLIP, device: str) -> open_clip.CLIP:
    return model.requires_grad_(False).eval().to(device)


def _plain(embeddings: Tensor) -> np.ndarray:
    values = embeddings.double().cpu().numpy()  # (N, E)
    return values / np.linalg.norm(values, axis=1, keepdims=True)
