"""The training loop that all embedded networks share."""

import copy
import csv
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from stereozero.artifacts import atomic_path
from stereozero.world.training.checkpoints import Checkpoint, read_checkpoint, write_checkpoint
from stereozero.world.training.muon import optimisers_of
from stereozero.world.training.temporal import flatten_temporal_convolutions

log = logging.getLogger(__name__)

CHECKPOINT, LOSSES = "checkpoint.pt", "losses.csv"
_LOG_EVERY = 20  # steps a line of the loss table
_SAVE_EVERY = 60.0  # seconds between checkpoints


class Task(Protocol):
    """What is trained, and on what.

    Attributes:
        module: the network; all of its parameters that require gradients are trained.
        settings: all that determines the result but the number of steps, as JSON values.
    """

    module: nn.Module
    settings: Mapping[str, Any]

    def losses(self, step: int) -> dict[str, Tensor]:
        """Return scalars for one step's batch. "loss" is what is minimised, the others are only logged."""


@dataclass(frozen=True)
class Optimisation:
    """How a training descends: Muon and AdamW, the rate constant after a warm-up, then falling linearly to 0.

    Attributes:
        rate: learning rate.
        warmup: steps over which the rate rises.
        fall: share of all steps over which it falls at the end.
        weight_decay: decoupled, of matrices and convolutions.
        clip: largest norm of the gradient.
        average: decay of the running average of the weights, which is what is kept in the end.
        seed: of everything random.
    """

    rate: float
    warmup: int = 50
    fall: float = 0.4
    weight_decay: float = 0.01
    clip: float = 1.0
    average: float = 0.995
    seed: int = 0

    def rate_at(self, step: int, steps: int) -> float:
        """Return the learning rate of step ``step`` of ``steps``."""
        rising = (step + 1) / (self.warmup + 1)
        falling = (steps - step) / max(1.0, self.fall * steps)
        return self.rate * min(1.0, rising, falling)

    def average_at(self, step: int) -> float:
        """Return the decay of the average at a step; at first it forgets fast, so that the start leaves no trace."""
        return min(self.average, (1 + step) / (10 + step))


class Training:
    """A training that is saved as it goes, and that goes on from where it was saved.

    Args:
        task: what is trained; its module is moved to the device.
        how: how.
        folder: where checkpoint and loss table lie.
        device: where to compute.
    """

    def __init__(self, task: Task, how: Optimisation, folder: Path, device: torch.device | str = "cpu"):
        self.task, self.how, self.folder = task, how, folder
        self.module = task.module.to(device)
        self.average = copy.deepcopy(self.module).requires_grad_(False).eval()
        flatten_temporal_convolutions(self.module)
        self.trained = [parameter for parameter in self.module.parameters() if parameter.requires_grad]
        self.optimisers = optimisers_of(self.module, how.rate, how.weight_decay)
        self.step, self.seconds = 0, 0.0
        if (folder / CHECKPOINT).is_file():
            self._restore(read_checkpoint(folder / CHECKPOINT, task.settings))

    def run(self, steps: int) -> nn.Module:
        """Train until ``steps`` steps were taken in all; returns the averaged network."""
        if self.step >= steps:
            return self.average
        table = LossTable(self.folder / LOSSES, self.step)
        began, saved = time.monotonic() - self.seconds, time.monotonic()
        while self.step < steps:
            losses = self._take_step(steps)
            self.seconds = time.monotonic() - began
            table.add(self.step, self.seconds, losses)
            if time.monotonic() - saved > _SAVE_EVERY or self.step == steps:
                self.save()
                saved = time.monotonic()
        return self.average

    def save(self) -> None:
        """Write the checkpoint."""
        state = Checkpoint(
            self.step,
            self.seconds,
            self.module.state_dict(),
            self.average.state_dict(),
            [optimiser.state_dict() for optimiser in self.optimisers],
            dict(self.task.settings),
        )
        write_checkpoint(self.folder / CHECKPOINT, state)

    def _take_step(self, steps: int) -> dict[str, float]:
        for group in (group for optimiser in self.optimisers for group in optimiser.param_groups):
            group["lr"] = self.how.rate_at(self.step, steps)
        torch.manual_seed(int(np.random.SeedSequence([self.how.seed, self.step]).generate_state(1)[0]))
        losses = self.task.losses(self.step)
        losses["loss"].backward()
        norm = nn.utils.clip_grad_norm_(self.trained, self.how.clip)
        is_usable = bool(torch.isfinite(norm))
        if not is_usable:
            log.warning("step %d is left out: its gradient is not finite (an overflow in bfloat16)", self.step)
        for optimiser in self.optimisers:
            if is_usable:
                optimiser.step()
            optimiser.zero_grad()
        self._average(self.how.average_at(self.step))
        self.step += 1
        return {name: float(value.detach()) for name, value in losses.items()}

    @torch.no_grad()
    def _average(self, decay: float) -> None:
        torch._foreach_lerp_(list(self.average.parameters()), list(self.module.parameters()), 1 - decay)

    def _restore(self, checkpoint: Checkpoint) -> None:
        self.module.load_state_dict(checkpoint.model)
        self.average.load_state_dict(checkpoint.average)
        for optimiser, state in zip(self.optimisers, checkpoint.optimisers, strict=True):
            optimiser.load_state_dict(state)
        self.step, self.seconds = checkpoint.step, checkpoint.seconds


class LossTable:
    """A CSV of losses, averaged over some steps a line; lines of steps that are taken again are dropped first."""

    def __init__(self, path: Path, step: int):
        self.path = path
        self._sums: dict[str, float] = {}
        self._count = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            with path.open(newline="") as stream:
                head, *rows = list(csv.reader(stream)) or [[]]
            with atomic_path(path) as temporary, temporary.open("w", newline="") as stream:
                csv.writer(stream).writerows([head, *(row for row in rows if int(row[0]) <= step)])

    def add(self, step: int, seconds: float, losses: Mapping[str, float]) -> None:
        """Add one step's losses; every few steps a line is written."""
        self._sums = {name: self._sums.get(name, 0.0) + value for name, value in losses.items()}
        self._count += 1
        if step % _LOG_EVERY:
            return
        means = {name: value / self._count for name, value in self._sums.items()}
        is_new = not self.path.is_file() or not self.path.stat().st_size
        with self.path.open("a", newline="") as stream:
            writer = csv.writer(stream)
            if is_new:
                writer.writerow(["step", "seconds", *means])
            writer.writerow([step, f"{seconds:.1f}", *(f"{value:.6g}" for value in means.values())])
        log.info("step %d, %.0f s: %s", step, seconds, ", ".join(f"{n} {v:.4g}" for n, v in means.items()))
        self._sums, self._count = {}, 0
