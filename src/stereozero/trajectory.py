"""Trajectories on disk: a generated clip's latents before the first and after every sampling step.

A trajectory is a safetensors file with

- ``latents``: float32 (S + 1, C, F, h, w). Entry 0 is x_T, entry i + 1 the latents after step i, entry S is x_0.
- ``timesteps``: int64 (S,), the training timestep of each step, strictly decreasing.
- metadata, entry ``trajectory``, a JSON object: ``backbone``, ``first_frame`` and ``frames``. The video shows this
  many frames, beginning with that one; the others are fixed by the clip's images and are in the latents only.

float32 because sampling can then be taken up at any step with the very numbers that it would have had.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from stereozero.errors import InputError


@dataclass(frozen=True, eq=False)
class Trajectory:
    """A clip's latents along the sampling; see the module for shapes.

    Attributes:
        latents: float32 (S + 1, C, F, h, w).
        timesteps: int64 (S,).
        backbone: name of the model variant that made it; latents of another mean nothing to a model.
        kept: the frames that the source video shows.
    """

    latents: Tensor
    timesteps: Tensor
    backbone: str
    kept: range

    @property
    def steps(self) -> int:
        """Number of sampling steps S."""
        return len(self.timesteps)


def frame_windows(count: int, length: int) -> list[list[int]]:
    """Divide a video's frames among windows of a model's clip length.

    Windows follow each other; the last one ends with the video and so may share frames with the one before. A video
    shorter than a window repeats its last frame.

    Returns:
        The frames' numbers, ``length`` a window.
    """
    if count < length:
        return [[min(number, count - 1) for number in range(length)]]
    starts = [*range(0, count - length, length), count - length]
    return [list(range(start, start + length)) for start in starts]


def save_trajectory(path: Path, trajectory: Trajectory) -> None:
    """Write a trajectory.

    Raises:
        InputError: latents that are not float32 (S + 1, C, F, h, w), or frames to keep that they don't have.
    """
    latents, kept = trajectory.latents, trajectory.kept
    if latents.dtype != torch.float32 or latents.ndim != 5 or len(latents) != trajectory.steps + 1:
        raise InputError(
            f"{path}: latents must be float32 (S + 1, C, F, h, w) for S = {trajectory.steps} steps, "
            f"not {latents.dtype} {tuple(latents.shape)}"
        )
    if not kept or kept.start < 0 or kept.stop > latents.shape[2]:
        raise InputError(f"{path}: frames {kept} of a trajectory of {latents.shape[2]} frames can't be kept")
    facts = {"backbone": trajectory.backbone, "first_frame": kept.start, "frames": len(kept)}
    # One entry: with several, safetensors writes them in an order of chance, and the same clip gets other bytes.
    metadata = {"trajectory": json.dumps(facts)}
    tensors = {"latents": latents.cpu().contiguous(), "timesteps": trajectory.timesteps.cpu()}
    save_file(tensors, path, metadata)


def load_trajectory(path: Path) -> Trajectory:
    """Read what :func:`save_trajectory` wrote; the latents are memory-mapped, so that one entry costs one entry.

    Raises:
        InputError: the file is missing, truncated, or no trajectory.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such trajectory; the stage 'generate' writes it")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            facts = json.loads(file.metadata()["trajectory"])
            kept = range(facts["first_frame"], facts["first_frame"] + facts["frames"])
            latents, timesteps = file.get_tensor("latents"), file.get_tensor("timesteps")
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: is truncated or no trajectory ({error}); delete its folder and generate the clip again"
        ) from error
    return Trajectory(latents, timesteps, facts["backbone"], kept)
