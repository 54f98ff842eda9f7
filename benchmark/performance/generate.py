"""Time and weigh generation at real size, with random weights: nothing is downloaded.

Prints for each part of a clip (conditioning, sampling steps, decoding) the seconds, the UNet evaluations (of one clip;
a guidance pair in one batch counts two) and the peak memory: of the device where there is one, else of the process.

    python benchmark/performance/generate.py --variant 1024 --dtype fp16 --device cuda --steps 3
    python benchmark/performance/generate.py --variant 1024 --dtype fp16 --device cuda --offload --two-calls
    python benchmark/performance/generate.py --variant 256 --dtype bf16 --device cpu --steps 1
    python benchmark/performance/generate.py --folder models/generator --device cpu

Random weights cost what real ones do, except that a checkpoint's file is not read.
"""

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch

from stereozero.backbones.dynamicrafter import DynamiCrafter, variant_named
from stereozero.backbones.dynamicrafter.checkpoint import build_on_meta
from stereozero.backbones.loading import DTYPES
from stereozero.backbones.variants import VARIANTS
from stereozero.diffusion.backbone import ClipRequest
from stereozero.diffusion.sampling import initial_latents, sample
from stereozero.diffusion.schedule import ddim_schedule
from stereozero.provenance import peak_memory_mb


def random_model(name: str, dtype: torch.dtype, device: str) -> DynamiCrafter:
    """Build a full-size official variant with small random weights."""
    modules = build_on_meta(variant_named(name))
    torch.manual_seed(0)
    for module in modules.named().values():
        torch.nn.Module.to(module, dtype)  # diffusers' own warns of networks that want float32; these don't
        module.to_empty(device=device).requires_grad_(False).eval()
        for parameter in module.parameters():
            parameter.normal_(std=0.02)
    modules.conditioner.restore_buffers()
    return DynamiCrafter(modules, variant_named(name))


@dataclass
class Ledger:
    """Collects one row a part."""

    device: str
    evaluations: int = 0
    rows: list[str] = field(default_factory=list)

    def count(self, module: torch.nn.Module, inputs: tuple) -> None:
        """Count a UNet call; a hook."""
        self.evaluations += len(inputs[0])

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Measure the block."""
        cuda = self.device.startswith("cuda")
        if cuda:
            torch.cuda.reset_peak_memory_stats()
        before, started = self.evaluations, time.perf_counter()
        yield
        if cuda:
            torch.cuda.synchronize()
        seconds = time.perf_counter() - started
        peak = torch.cuda.max_memory_allocated() / 2**20 if cuda else peak_memory_mb()["host"]
        self.rows.append(f"{name:14} {seconds:9.2f} s {self.evaluations - before:4} evaluations {peak:9.0f} MiB peak")
        print(self.rows[-1], flush=True)


def measure(backbone: DynamiCrafter, height: int, width: int, steps: int, one_batch: bool, ledger: Ledger) -> None:
    """Make one clip, as the stage does."""
    picture = torch.rand(3, height, width, generator=torch.Generator().manual_seed(0))
    with ledger.part("conditioning"):
        pair = backbone.encode_conditioning([ClipRequest("a red ball moves left", 1, picture)])
    schedule = ddim_schedule(backbone.schedule, steps, spacing=backbone.spacing)
    latents = initial_latents(backbone, [1], height, width, str(backbone.device))
    iterator = sample(backbone, pair, schedule, latents, [1], guidance=7.5, one_batch=one_batch)
    for step in range(steps):
        with ledger.part(f"step {step + 1}"):
            latents = next(iterator)
    with ledger.part("decoding"):
        backbone.decode_latents(latents)


def load(arguments: argparse.Namespace) -> DynamiCrafter:
    """Return the model the arguments ask for."""
    home = "cpu" if arguments.offload else arguments.device
    dtype = DTYPES[arguments.dtype]
    if arguments.folder:
        backbone = DynamiCrafter.from_pretrained(arguments.folder, device=home, dtype=dtype)
    else:
        backbone = random_model(arguments.variant, dtype, home)
    backbone.frames_at_once = arguments.vae_frames
    if arguments.offload:
        backbone.offload_to(arguments.device)
    if arguments.compile:
        backbone.compile()
    return backbone


def main() -> None:
    """Build, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--variant", choices=list(VARIANTS), default="1024")
    parser.add_argument("--folder", type=Path, help="a saved model instead of a variant")
    parser.add_argument("--dtype", choices=list(DTYPES), default="fp16")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--steps", type=int, default=3, help="the first includes warming up")
    parser.add_argument("--vae-frames", type=int, default=1)
    parser.add_argument("--two-calls", action="store_true", help="guidance in two calls instead of one batch")
    parser.add_argument("--offload", action="store_true")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--threads", type=int, help="of the CPU")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    started = time.perf_counter()
    backbone = load(arguments)
    networks = backbone.modules.named().values()
    size = sum(p.numel() * p.element_size() for network in networks for p in network.parameters()) / 2**20
    variant = backbone.variant
    print(
        f"{variant.name}: {variant.frames} frames of {variant.width} x {variant.height}, {arguments.dtype} on "
        f"{arguments.device}, {torch.get_num_threads()} threads; weights {size:.0f} MiB, ready in "
        f"{time.perf_counter() - started:.1f} s, {peak_memory_mb()['host']:.0f} MiB of host memory"
    )
    ledger = Ledger(arguments.device)
    backbone.modules.unet.register_forward_pre_hook(ledger.count)
    measure(backbone, variant.height, variant.width, arguments.steps, not arguments.two_calls, ledger)
    print(f"{ledger.evaluations} evaluations; host memory peak {peak_memory_mb()['host']:.0f} MiB")


if __name__ == "__main__":
    main()
