"""Count and time the stereo sampler's UNet evaluations: as few as exactness allows, against everything, in one run.

Makes one clip with the reference preset (last warp step 34, cross-view attention always on, guidance 7.5): the source's
trajectory, then the target twice from it, with the source's queries replayed (exact mode) and with both views evaluated
together each time, as the released code does. Prints for each part the UNet evaluations (of one clip; a guidance pair
counts two), the seconds and the peak memory: of the device where there is one, else of the process. Last comes the
largest difference of the two results.

    python benchmark/performance/sampler.py --variant 1024 --dtype fp16 --device cuda
    python benchmark/performance/sampler.py --variant 256 --dtype bf16 --device cpu --steps 2
    python benchmark/performance/sampler.py --folder models/generator --device cpu

A variant has random weights, which cost what real ones do. The released code makes 588 evaluations in 50 steps.
"""

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from generate import random_model
from torch import Tensor

from stereozero.backbones.dynamicrafter import DynamiCrafter
from stereozero.backbones.loading import DTYPES
from stereozero.backbones.variants import VARIANTS
from stereozero.diffusion.backbone import ClipRequest, GuidancePair
from stereozero.diffusion.sampling import initial_latents, sample
from stereozero.diffusion.schedule import DdimSchedule, ddim_schedule
from stereozero.provenance import peak_memory_mb
from stereozero.stereo.latent_warp import WholeCellWarp
from stereozero.stereo.noise import SeededNoise
from stereozero.stereo.sampler import StereoSampler
from stereozero.stereo.settings import preset
from stereozero.stereo.two_views import TwoViewDenoiser

GUIDANCE = 7.5
SEED = 1
STRENGTH = 10.0  # percent of width: some cells also at the smallest size
SETTINGS = preset("reference", cross_view_window=None, last_warp_step=34)


class Part(NamedTuple):
    """What a part of the clip took."""

    name: str
    evaluations: int
    seconds: float
    peak_mib: float


@dataclass
class Ledger:
    """Collects the parts."""

    device: str
    evaluations: int = 0
    parts: list[Part] = field(default_factory=list)

    def count(self, module: torch.nn.Module, inputs: tuple) -> None:
        """Count a UNet call; a hook."""
        self.evaluations += len(inputs[0])

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Measure the block, and print it."""
        cuda = self.device.startswith("cuda")
        if cuda:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
        before, started = self.evaluations, time.perf_counter()
        yield
        if cuda:
            torch.cuda.synchronize()
        seconds = time.perf_counter() - started
        peak = torch.cuda.max_memory_allocated() / 2**20 if cuda else peak_memory_mb()["host"]
        self.parts.append(Part(name, self.evaluations - before, seconds, peak))
        print(f"{name:24} {self.evaluations - before:12} {seconds:9.2f} {peak:9.0f}", flush=True)


class Exact(TwoViewDenoiser):
    """Replays queries, and keeps what the network said of the source in the restart."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.predictions: dict[int, Tensor] = {}

    def predict_source(self, source: Tensor, step: int) -> Tensor:
        """Evaluate the source, and keep the result."""
        self.predictions[step] = super().predict_source(source, step)
        return self.predictions[step]


class Everything(TwoViewDenoiser):
    """Evaluates both views together each time.

    The source's first steps are given: the released code has them from its first pass, at no evaluation of their own.
    """

    def __init__(self, predictions: dict[int, Tensor], *arguments, **options):
        super().__init__(*arguments, **options, memory=0)
        self._predictions = predictions

    def predict_source(self, source: Tensor, step: int) -> Tensor:
        """Return what is known."""
        return self._predictions[step]


def source_trajectory(backbone: DynamiCrafter, pair: GuidancePair, schedule: DdimSchedule) -> Tensor:
    """Sample the source view; (S + 1, C, F, h, w)."""
    variant = backbone.variant
    start = initial_latents(backbone, [SEED], variant.height, variant.width, str(backbone.device))
    return torch.cat([start, *sample(backbone, pair, schedule, start, [SEED], guidance=GUIDANCE)])


def sample_target(denoiser: TwoViewDenoiser, schedule: DdimSchedule, trajectory: Tensor) -> Tensor:
    """Sample the target view; (C, F, h, w)."""
    warp = WholeCellWarp(near_box(trajectory), STRENGTH)
    noise = SeededNoise(trajectory.shape[1:], SEED, SETTINGS, trajectory.device)
    *_, final = StereoSampler(denoiser, schedule, trajectory, warp, noise, STRENGTH, SETTINGS).sample()
    return final


def near_box(trajectory: Tensor) -> Tensor:
    """Return a disparity (F, h, w): a box in the middle in front of a slanted ground."""
    frames, height, width = trajectory.shape[2:]
    ground = torch.linspace(0, 0.5, height, device=trajectory.device)[:, None]  # (h, 1)
    disparity = ground.expand(frames, height, width).clone()  # (F, h, w)
    disparity[:, height // 4 : height * 3 // 4, width // 3 : width * 2 // 3] = 1
    return disparity


def measure(backbone: DynamiCrafter, steps: int, memory: float | None, ledger: Ledger) -> tuple[Tensor, Tensor]:
    """Make the clip; return the target's final latents of both modes."""
    variant = backbone.variant
    picture = torch.rand(3, variant.height, variant.width, generator=torch.Generator().manual_seed(0))
    pair = backbone.encode_conditioning([ClipRequest("a red ball moves left", SEED, picture)])
    schedule = ddim_schedule(backbone.schedule, steps, spacing=backbone.spacing)
    views = (backbone, pair, pair, schedule, SETTINGS)
    warm_up(backbone, pair)
    with ledger.part("source"):
        trajectory = source_trajectory(backbone, pair, schedule)
    exact = Exact(*views, guidance=GUIDANCE, memory=memory)
    with ledger.part("target, exact"):
        replayed = sample_target(exact, schedule, trajectory)
    everything = Everything(exact.predictions, *views, guidance=GUIDANCE)
    with ledger.part("target, everything"):
        together = sample_target(everything, schedule, trajectory)
    return replayed, together


def warm_up(backbone: DynamiCrafter, pair: GuidancePair) -> None:
    """Evaluate once, outside of the ledger: the first call of a process takes longer."""
    variant = backbone.variant
    latents = initial_latents(backbone, [SEED], variant.height, variant.width, str(backbone.device))
    backbone.predict(latents, backbone.schedule.train_steps - 1, pair.conditional)


def summarise(ledger: Ledger, replayed: Tensor, together: Tensor) -> None:
    """Print both clips' sums, and how far the results are apart."""
    source, exact, everything = ledger.parts
    sums = [(source.evaluations + one.evaluations, source.seconds + one.seconds) for one in (exact, everything)]
    for name, (evaluations, seconds) in zip(("clip, exact", "clip, everything"), sums, strict=True):
        print(f"{name:24} {evaluations:12} {seconds:9.2f}")
    print(f"exact takes {sums[0][0] / sums[1][0]:.1%} of the evaluations, {sums[0][1] / sums[1][1]:.1%} of the time")
    difference = float((replayed - together).abs().max())
    print(f"largest difference {difference:.2e}; the latents' standard deviation is {float(together.std()):.3g}")


def main() -> None:
    """Build, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--variant", choices=list(VARIANTS), default="1024")
    parser.add_argument("--folder", type=Path, help="a saved model instead of a variant")
    parser.add_argument("--dtype", choices=list(DTYPES), default="fp32")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--memory", type=float, help="MiB for the source's queries; default: a third of what is free")
    parser.add_argument("--threads", type=int, help="of the CPU")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    dtype, device = DTYPES[arguments.dtype], arguments.device
    if arguments.folder:
        backbone = DynamiCrafter.from_pretrained(arguments.folder, device=device, dtype=dtype)
    else:
        backbone = random_model(arguments.variant, dtype, device)
    variant = backbone.variant
    print(
        f"{variant.name}: {variant.frames} frames of {variant.width} x {variant.height}, {arguments.steps} steps; "
        f"{arguments.dtype} on {device}, {torch.get_num_threads()} threads"
    )
    print(f"{'part':24} {'evaluations':>12} {'seconds':>9} {'peak MiB':>9}")
    ledger = Ledger(device)
    backbone.modules.unet.register_forward_pre_hook(ledger.count)
    memory = None if arguments.memory is None else arguments.memory * 2**20
    summarise(ledger, *measure(backbone, arguments.steps, memory, ledger))


if __name__ == "__main__":
    main()
