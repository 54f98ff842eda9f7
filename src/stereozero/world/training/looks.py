"""Teaches attention what to bring: what an object looked like in the first frame, not only from where.

Heads that look at the right place may bring too little from there. So the first frame's latents, moved to where each
cell comes from, should follow linearly from what the taught heads bring together. No layer is trained for that: the
best linear readout of a batch has a closed form, and with it the error has the same gradient as if it were held fixed.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as nnf
from torch import Tensor

_RIDGE = 1e-3  # of the features' mean square; a batch has few cells that show a main object


def looks_of(first: Tensor, places: Sequence[np.ndarray], positions: slice = slice(None)) -> Tensor:
    """Return what positions in clips should look like, moved there from the first frame.

    Args:
        first: (B, C, h, w) latents of the clips' first frames.
        places: B, where F frames of h x w cells come from, (F, h, w, 2) x and y [cells].
        positions: of which positions, counted row by row.

    Returns:
        (B * F, P, C), interpolated cubically; what comes from beyond the border is that at the border.
    """
    height, width = first.shape[-2:]
    taken = torch.from_numpy(np.stack(places)).float().to(first.device)  # (B, F, h, w, 2)
    grid = (taken.flatten(2, 3)[:, :, positions] + 0.5) * 2 / torch.tensor([width, height], device=first.device) - 1
    looks = nnf.grid_sample(first, grid, mode="bicubic", padding_mode="border", align_corners=False)  # (B, C, F, P)
    return looks.permute(0, 2, 3, 1).flatten(0, 1)


def unexplained(features: Tensor, wanted: Tensor, weight: Tensor) -> Tensor:
    """Return the share of what is wanted that does not follow linearly from features.

    Args:
        features: (N, P, D) what is read from; gets gradients.
        wanted: (N, P, C) what is to be read, without gradients.
        weight: (N, P) what each counts.

    Returns:
        A scalar: the least squared error over the variance, 0 if all follows and 1 if nothing does.
    """
    weight = (weight / weight.sum().clamp(min=torch.finfo(weight.dtype).tiny)).flatten()[:, None]  # (N * P, 1)
    read, wanted = (_centred(each.float().flatten(0, 1), weight) for each in (features, wanted))  # (N * P, D or C)
    with torch.no_grad():
        weighted = (read * weight).T.double()  # (D, N * P)
        products = weighted @ read.double()  # (D, D)
        ridge = _RIDGE * products.diagonal().mean().clamp(min=torch.finfo(torch.float32).tiny)
        ridged = products + ridge * torch.eye(len(products), dtype=products.dtype, device=products.device)
        solved = torch.linalg.solve(ridged, weighted @ wanted.double()).float()  # (D, C)
    wrong = (wanted - read @ solved).square() * weight  # (N * P, C)
    variance = (wanted.square() * weight).sum().clamp(min=torch.finfo(torch.float32).tiny)
    return wrong.sum() / variance


def _centred(values: Tensor, weight: Tensor) -> Tensor:
    return values - (values * weight).sum(dim=0)
