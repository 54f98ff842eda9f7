"""Time MEt3R's geometry networks at full size, with random weights: nothing is downloaded.

Prints for each network, image size and batch the pairs a second in one direction and in both, and the peak memory.

    python benchmark/performance/met3r_geometry.py --networks dust3r mast3r raft --sizes 256 512 --batches 1 8

Random weights cost what real ones do.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product

import torch
from torch import Tensor
from torchvision.models.optical_flow import raft_large

from stereozero.metrics.met3r.dust3r import Dust3r
from stereozero.metrics.met3r.geometry import PairFlow, PairGeometry
from stereozero.metrics.met3r.mast3r import Mast3r
from stereozero.metrics.met3r.raft import PairRaft
from stereozero.provenance import peak_memory_mb

CLASSES = {"dust3r": Dust3r, "mast3r": Mast3r}
NETWORKS = [*CLASSES, "raft"]


@dataclass(frozen=True)
class GeometryTiming:
    """Speed of one network on pairs of one size.

    Attributes:
        network: "dust3r", "mast3r" or "raft".
        height, width: of the images [px].
        batch: pairs at once.
        pairs_a_second: in one direction, by the median of the repeats.
        both_ways_a_second: pairs of which both directions were computed.
        memory_mib: peak of the device where there is one, else of the process.
    """

    network: str
    height: int
    width: int
    batch: int
    pairs_a_second: float
    both_ways_a_second: float
    memory_mib: float


def random_network(name: str, device: str) -> PairGeometry | PairFlow:
    """Build a network of full size with small random weights."""
    torch.manual_seed(0)
    if name == "raft":
        return PairRaft(raft_large(weights=None).to(device))
    network = CLASSES[name].on_meta().to_empty(device=device).requires_grad_(False).eval()
    for parameter in network.parameters():
        parameter.normal_(std=0.02)
    return network


def time_geometry(name: str, height: int, width: int, batch: int, *, device: str, repeats: int) -> GeometryTiming:
    """Build a network and measure it, after one call that is not measured."""
    network = random_network(name, device)
    images = torch.rand(batch, 2, 3, height, width, device=device) * 2 - 1
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
    one_way, both_ways = _directions(network, images)
    one_way()
    seconds = [_median_seconds(call, device, repeats) for call in (one_way, both_ways)]
    return GeometryTiming(name, height, width, batch, batch / seconds[0], batch / seconds[1], _peak_memory(device))


def _directions(network: PairGeometry | PairFlow, images: Tensor) -> tuple[Callable, Callable]:
    if isinstance(network, Dust3r):
        return partial(network.predict_pair, images), partial(network.predict_both_ways, images)
    both = torch.cat([images, images.flip(1)])
    return partial(network.predict_flow, images), partial(network.predict_flow, both)


def _median_seconds(call: Callable, device: str, repeats: int) -> float:
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def _peak_memory(device: str) -> float:
    return torch.cuda.max_memory_allocated() / 2**20 if device.startswith("cuda") else peak_memory_mb()["host"]


def main() -> None:
    """Time what is asked for and print one line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", choices=NETWORKS, nargs="+", default=NETWORKS)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256], metavar="PIXELS", help="of square images")
    parser.add_argument("--batches", type=int, nargs="+", default=[1], metavar="PAIRS")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, help="of the CPU")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    print(f"{arguments.device}, {torch.get_num_threads()} threads, float32")
    for name, size, batch in product(arguments.networks, arguments.sizes, arguments.batches):
        timing = time_geometry(name, size, size, batch, device=arguments.device, repeats=arguments.repeats)
        print(
            f"{name:7} {size:5} px  batch {batch:3}  {timing.pairs_a_second:8.3f} pairs/s  "
            f"{timing.both_ways_a_second:8.3f} pairs/s both ways  {timing.memory_mib:7.0f} MiB peak",
            flush=True,
        )


if __name__ == "__main__":
    main()
