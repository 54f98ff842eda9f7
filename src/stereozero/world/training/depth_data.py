"""Clips with their true disparity, rendered when a step asks for them: that takes a few hundredths of a second.

Which scenes a step sees follows from the generator it is given, so a training that resumes sees the same.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from stereozero.world import KINDS, SPLITS, Clip, render_clip, sample_scene

HEIGHT, WIDTH = 64, 96
"""Size that the embedded depth model is trained at [px]."""

_STRENGTH = 4.0  # of the stereo pair; neither the left view nor its disparity in [0, 1] depends on it


@dataclass(frozen=True, eq=False)
class DepthClips:
    """Clips of one length.

    Attributes:
        videos: (B, F, 3, H, W) in [-1, 1], of 8-bit frames.
        disparities: (B, F, H, W) in [0, 1], 1 nearest.
    """

    videos: Tensor
    disparities: Tensor

    def depth_videos(self) -> Tensor:
        """Return the disparities as grey pixels (B, F, 3, H, W) in [-1, 1], which is how the VAE sees them."""
        return (self.disparities * 2 - 1).unsqueeze(2).expand(-1, -1, 3, -1, -1)


def draw_depth_clips(rng: np.random.Generator, count: int, frames: int, simple_share: float) -> DepthClips:
    """Render random clips of the training split, half of them mirrored.

    Args:
        rng: what follows from it is the result.
        count: B.
        frames: F, spread over each clip's action.
        simple_share: share of simple scenes; the others are complex ones.
    """
    seeds = SPLITS["train"]
    clips = []
    for _ in range(count):
        kind = KINDS[int(rng.random() >= simple_share)]
        clips.append(_render(kind, seeds[int(rng.integers(len(seeds)))], frames))
    batch = _stacked(clips)
    mirrored = torch.from_numpy(rng.random(count) < 0.5)  # (B,)
    return DepthClips(_mirrored(batch.videos, mirrored), _mirrored(batch.disparities, mirrored))


def held_out_clips(count: int, frames: int) -> list[Clip]:
    """Return rendered clips of the held-out split; the kinds take turns."""
    return [_render(KINDS[index % 2], SPLITS["held-out"][index // 2], frames) for index in range(count)]


def video_of(clip: Clip) -> Tensor:
    """Return a clip's 8-bit source frames as (F, 3, H, W) float32 in [0, 1]."""
    return torch.from_numpy(np.rint(clip.left * 255)).movedim(-1, 1) / 255


def _render(kind: str, seed: int, frames: int) -> Clip:
    return render_clip(sample_scene(kind, seed), frames, HEIGHT, WIDTH, strength=_STRENGTH)


def _stacked(clips: list[Clip]) -> DepthClips:
    videos = torch.stack([video_of(clip) * 2 - 1 for clip in clips])  # (B, F, 3, H, W)
    return DepthClips(videos, torch.stack([torch.tensor(clip.disparity) for clip in clips]))


def _mirrored(clips: Tensor, which: Tensor) -> Tensor:
    # (B, ..., W), (B,) bool -> (B, ..., W)
    return torch.where(which.view(-1, *[1] * (clips.ndim - 1)), clips.flip(-1), clips)
