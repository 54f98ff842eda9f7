"""Moves of pictures in their plane: shifted, turned and made larger or smaller, and latents alike.

Latents that move as the picture does are easier for a UNet to predict and for the stereo sampler to warp by fractions
of a cell (after EQ-VAE, arXiv 2502.09509). It isn't enough that the decoder is right for moved latents: so trained,
those moved by half a cell were half as far from the latents of the moved picture as unmoved ones.
"""

import numpy as np
import torch
import torch.nn.functional as nnf
from torch import Tensor

_MOST_TURN = 0.6  # [rad]; objects of an even pace turn by 0.45 in a generated clip
_MOST_GROWTH = 0.3  # log of the scale; objects that come closer grow by this in a generated clip


def draw_moves(rng: np.random.Generator, count: int, size: tuple[int, int], cell: int) -> Tensor:
    """Return random moves (count, 2, 3) of pictures of size (H, W), as :func:`moved` takes them.

    Each turns by up to 0.6 rad, scales by up to exp(0.3) either way, and shifts by less than a cell of so many pixels.
    """
    angles = rng.uniform(-_MOST_TURN, _MOST_TURN, count)
    scales = np.exp(rng.uniform(-_MOST_GROWTH, _MOST_GROWTH, count))
    shifts = rng.uniform(-cell, cell, (count, 2))  # [px]
    return similarity(angles, scales, shifts, size)


def similarity(angles: np.ndarray, scales: np.ndarray, shifts: np.ndarray, size: tuple[int, int]) -> Tensor:
    """Return moves (N, 2, 3) float32 that turn and scale pictures about their middle, then shift them.

    Args:
        angles: (N,) clockwise [rad].
        scales: (N,) above 1 makes what is seen larger.
        shifts: (N, 2) to the right and down [px].
        size: H and W of the pictures [px].
    """
    half = np.array([size[1], size[0]]) / 2  # of the width and of the height [px]
    cos, sin = np.cos(angles) / scales, np.sin(angles) / scales
    back = np.stack([np.stack([cos, sin], -1), np.stack([-sin, cos], -1)], axis=1)  # (N, 2, 2) [px], from where taken
    offset = -(back @ shifts[:, :, None]) / half[:, None]  # (N, 2, 1)
    return torch.from_numpy(np.concatenate([back * half / half[:, None], offset], axis=2)).float()


def moved(pictures: Tensor, moves: Tensor) -> Tensor:
    """Move pictures (N, C, H, W), or latents of them, each by its move (N, 2, 3); what comes in is mirrored."""
    grid = nnf.affine_grid(moves.to(pictures.device), list(pictures.shape), align_corners=False)  # (N, H, W, 2)
    return nnf.grid_sample(pictures, grid, mode="bicubic", padding_mode="reflection", align_corners=False)


def is_inside(moves: Tensor, size: tuple[int, int], margin: float) -> Tensor:
    """Return where moved pictures of size (H, W) show what was inside, at least ``margin`` [px] from the border.

    Returns:
        (N, 1, H, W) bool.
    """
    grid = nnf.affine_grid(moves, [len(moves), 1, *size], align_corners=False)  # (N, H, W, 2) in [-1, 1] inside
    limit = 1 - 2 * margin / torch.tensor([size[1], size[0]])
    return (grid.abs() <= limit).all(dim=-1)[:, None]
