"""Muon, an optimiser that makes each weight matrix's update orthogonal (Keller Jordan, 2024); AdamW for the rest.

On the small networks of the world it needs about half of AdamW's steps. Updates are scaled so that their root mean
square is that of AdamW (Liu et al., arXiv 2502.16982), so one learning rate does for both.
"""

from collections.abc import Iterable

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
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group["lr"], group["momentum"], group["weight_decay"])

    def _update(self, parameter: Tensor, rate: float, momentum: float, weight_decay: float) -> None:
        state = self.state[parameter]
        if not state:
            state["average"] = torch.zeros_like(parameter)
        average = state["average"].lerp_(parameter.grad, 1 - momentum)
        direction = orthogonal(parameter.grad.lerp(average, momentum).flatten(1))  # (outputs, inputs)
        scale = _MATCH * max(direction.shape) ** 0.5
        parameter.mul_(1 - rate * weight_decay).add_(direction.view_as(parameter), alpha=-rate * scale)


def orthogonal(matrix: Tensor) -> Tensor:
    """Return a matrix (rows, columns) with its singular values brought to about 1, by Newton-Schulz iteration."""
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    result = wide / (wide.norm() + 1e-7)
    a, b, c = _QUINTIC
    for _ in range(_ROUNDS):
        gram = result @ result.T  # (rows, rows), the smaller side
        result = a * result + (b * gram + c * gram @ gram) @ result
    return result if wide is matrix else result.T


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
