"""Muon, an optimiser that makes each weight matrix's update orthogonal (Keller Jordan, 2024); AdamW for the rest.

On the small networks of the world it needs about half of AdamW's steps. Updates are scaled so that their root mean
square is that of AdamW (Liu et al., arXiv 2502.16982), so one learning rate does for both.
"""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

_QUINTIC = (3.4445, -4.7750, 2.0315)  # Newton-Schulz coefficients: singular values go to about 1 within 5 rounds
_ROUNDS = 5
_MATCH = 0.2  # root mean square of AdamW's updates, in learning rates


class Muon(Optimizer):
    """Momentum, made orthogonal; for parameters of two or more dimensions, seen as (outputs, all the rest).

    Args:
        parameters: what to optimise.
        lr: learning rate, as for AdamW.
        momentum: decay of the gradients' average (Nesterov's form is used).
        weight_decay: decoupled.
    """

    def __init__(self, parameters: Iterable[Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 0.0):
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Take one step; parameters without gradient are left as they are."""
        for group in self.param_groups:
            for alike in _by_shape(parameter for parameter in group["params"] if parameter.grad is not None).values():
                self._update(alike, group["lr"], group["momentum"], group["weight_decay"])

    def _update(self, alike: Sequence[Tensor], rate: float, momentum: float, weight_decay: float) -> None:
        # Parameters whose matrices have one shape are brought into one batch: many are small.
        directions = orthogonal(torch.stack([self._direction(parameter, momentum) for parameter in alike]))
        scale = _MATCH * max(directions.shape[1:]) ** 0.5
        for parameter, direction in zip(alike, directions, strict=True):
            parameter.mul_(1 - rate * weight_decay).add_(direction.reshape(parameter.shape), alpha=-rate * scale)

    def _direction(self, parameter: Tensor, momentum: float) -> Tensor:
        state = self.state[parameter]
        if not state:
            state["average"] = torch.zeros_like(parameter)
        average = state["average"].lerp_(parameter.grad, 1 - momentum)
        return parameter.grad.lerp(average, momentum).flatten(1)  # (outputs, inputs)


def orthogonal(matrices: Tensor) -> Tensor:
    """Return matrices (..., rows, columns) with singular values brought to about 1, by Newton-Schulz iteration."""
    is_wide = matrices.shape[-2] <= matrices.shape[-1]
    result = matrices if is_wide else matrices.mT
    result = result / (result.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    a, b, c = _QUINTIC
    for _ in range(_ROUNDS):
        gram = result @ result.mT  # (..., rows, rows), the smaller side
        result = a * result + (b * gram + c * gram @ gram) @ result
    return result if is_wide else result.mT


def _by_shape(parameters: Iterable[Tensor]) -> Mapping[torch.Size, list[Tensor]]:
    alike: dict[torch.Size, list[Tensor]] = {}
    for parameter in parameters:
        alike.setdefault(parameter.flatten(1).shape, []).append(parameter)
    return alike


def optimisers_of(module: nn.Module, rate: float, weight_decay: float) -> list[Optimizer]:
    """Return Muon for a network's matrices and convolutions, and AdamW for its vectors and embeddings."""
    embeddings = {layer.weight for layer in module.modules() if isinstance(layer, nn.Embedding)}
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    matrices = [parameter for parameter in trained if parameter.ndim >= 2 and parameter not in embeddings]
    others = [parameter for parameter in trained if parameter.ndim < 2 or parameter in embeddings]
    return [
        Muon(matrices, rate, weight_decay=weight_decay),
        AdamW(others, rate, betas=(0.9, 0.99), weight_decay=0.0, foreach=True),
    ]
