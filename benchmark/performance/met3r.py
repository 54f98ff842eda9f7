"""Time MEt3R at full size with random weights, which cost what real ones do: nothing is downloaded.

Prints, for each side of a square image,

- pairs a second, both directions, of each geometry alone (dust3r, mast3r, raft; stereo: SGBM, on the CPU in any case)
  and with all the rest of the score (DINO ViT-S/16, upsampling, renderer where the geometry gives points), and the
  peak memory;
- seconds a pair, one direction, of the parts beside geometry: renderer (both point clouds, radius 0.01, 384 features,
  the raster of the image's size), dino16 and dinov2 (features of both views), bilinear and featup (upsampling).

    python benchmark/performance/met3r.py --sides 128 256 512 --batch 8 --device cuda
    python benchmark/performance/met3r.py --sides 256 --geometries stereo raft
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor
from torchvision.models.optical_flow import raft_large

from stereozero.metrics.met3r.dust3r import Dust3r
from stereozero.metrics.met3r.featup import JbuStack
from stereozero.metrics.met3r.features import PatchFeatures
from stereozero.metrics.met3r.geometry import PairGeometry
from stereozero.metrics.met3r.mast3r import Mast3r
from stereozero.metrics.met3r.matching import FlowMatching, PairMatching, StereoMatching
from stereozero.metrics.met3r.raft import PairRaft
from stereozero.metrics.met3r.rendering import Raster, composite, project, rasterise
from stereozero.metrics.met3r.score import Met3r
from stereozero.metrics.met3r.upsampling import FeatUp, Interpolation, Upsampler
from stereozero.provenance import peak_memory_mb
from stereozero.vision_transformer import DINO_VITS16, DINOV2, VisionTransformer

GEOMETRIES = ("stereo", "raft", "dust3r", "mast3r")
CHANNELS = 384


def main() -> None:
    """Time every geometry and every part at every size and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--geometries", choices=GEOMETRIES, nargs="*", default=GEOMETRIES)
    parser.add_argument(
        "--sides",
        type=int,
        nargs="+",
        default=[128, 256, 512],
        metavar="PIXELS",
        help="multiples of 16; raft needs at least 128",
    )
    parser.add_argument("--batch", type=int, default=1, metavar="PAIRS")
    parser.add_argument("--upsampler", choices=("bilinear", "featup"), default="bilinear", help="of the whole score")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, help="CPU threads of torch (default: torch's own choice)")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    device_name = torch.cuda.get_device_name() if given.device.startswith("cuda") else "CPU"
    print(f"{device_name}, {torch.get_num_threads()} threads, float32, batch {given.batch}")
    for line in (*geometry_lines(given), "", *part_lines(given)):
        print(line, flush=True)


def geometry_lines(given: argparse.Namespace) -> Iterator[str]:
    """Yield the table of pairs a second."""
    yield f"{'geometry':<10}{'side':>6}{'alone [pairs/s]':>18}{'score [pairs/s]':>18}{'peak [MiB]':>12}"
    for name in given.geometries:
        score = random_score(name, given.upsampler, given.device)
        for side in given.sides:
            images = random_pairs(given.batch, side, given.device)
            reset_peak_memory(given.device)
            seconds = [median_seconds(partial(call, images), given) for call in (both_ways(score), score.both_ways)]
            alone, whole = (f"{given.batch / value:>18.3f}" for value in seconds)
            yield f"{name:<10}{side:>6}{alone}{whole}{peak_memory(given.device):>12.0f}"


def part_lines(given: argparse.Namespace) -> Iterator[str]:
    """Yield the table of seconds a pair."""
    yield f"{'seconds a pair':<15}" + "".join(f"{side:>10}" for side in given.sides)
    for name, prepare in PARTS.items():
        times = [median_seconds(prepare(side, given.device), given) for side in given.sides]
        yield f"{name:<15}" + "".join(f"{seconds:>10.4f}" for seconds in times)


def random_score(geometry: str, upsampler: str, device: str) -> Met3r:
    """Build the whole score with networks of full size."""
    torch.manual_seed(0)
    return Met3r(
        random_geometry(geometry, device), random_features("dino16", device), random_upsampler(upsampler, device)
    )


def random_geometry(name: str, device: str) -> PairGeometry | PairMatching:
    """Build a geometry with small random weights."""
    if name == "stereo":
        return StereoMatching()
    if name == "raft":
        return FlowMatching(PairRaft(raft_large(weights=None).to(device)))
    network = {"dust3r": Dust3r, "mast3r": Mast3r}[name].on_meta().to_empty(device=device)
    for parameter in network.requires_grad_(False).eval().parameters():
        parameter.normal_(std=0.02)
    return network


def random_features(name: str, device: str) -> PatchFeatures:
    """Build a feature network."""
    config = DINO_VITS16 if name == "dino16" else DINOV2["dinov2_vits14"]
    return PatchFeatures(VisionTransformer(config)).to(device)


def random_upsampler(name: str, device: str) -> Upsampler:
    """Build an upsampler."""
    if name == "bilinear":
        return Interpolation(name)
    return FeatUp(JbuStack(CHANNELS).to(device).requires_grad_(False).eval())


def random_pairs(batch: int, side: int, device: str) -> Tensor:
    """Return a noise and the same shifted by two pixels: (B, 2, 3, H, W) in [-1, 1]."""
    left = torch.rand(batch, 3, side, side, device=device) * 2 - 1
    return torch.stack([left, left.roll(-2, dims=-1)], dim=1)


def both_ways(score: Met3r) -> Callable[[Tensor], object]:
    """Return the geometry's own part of the score, in both directions."""
    geometry = score.geometry
    return geometry.match_both_ways if isinstance(geometry, PairMatching) else geometry.predict_both_ways


@torch.no_grad()
def median_seconds(run: Callable[[], object], given: argparse.Namespace) -> float:
    """Return the median time of a call [s], after one that is not counted."""
    run()
    times = []
    for _ in range(given.repeats):
        wait(given.device)
        start = time.perf_counter()
        run()
        wait(given.device)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def wait(device: str) -> None:
    """Let the device finish."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def reset_peak_memory(device: str) -> None:
    """Begin counting memory anew, which only a GPU can."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()


def peak_memory(device: str) -> float:
    """Return the peak memory of the GPU where there is one, else of the process so far [MiB]."""
    return torch.cuda.max_memory_allocated() / 2**20 if device.startswith("cuda") else peak_memory_mb()["host"]


def renderer(side: int, device: str) -> Callable[[], object]:
    """Return the rendering of two clouds of side x side points that fill the raster."""
    torch.manual_seed(0)
    depth = 2 + torch.rand(2, side**2, 1, device=device)
    directions = torch.rand(2, side**2, 2, device=device) * 2 - 1
    points = torch.cat([directions * depth, depth], dim=-1)  # (2, P, 3)
    features = torch.rand(2, side**2, CHANNELS, device=device)
    raster, focal = Raster(side, side), torch.ones(2, 2, device=device)
    return lambda: composite(rasterise(project(points, focal), raster), features, raster.radius)


def features(name: str) -> Callable[[int, str], Callable[[], object]]:
    """Return the preparation of a feature network; sides are cut to a multiple of its patches."""

    def prepare(side: int, device: str) -> Callable[[], object]:
        network = random_features(name, device)
        length = side // network.patch_size * network.patch_size
        images = torch.rand(2, 3, length, length, device=device)
        return lambda: network(images)

    return prepare


def upsampler(name: str) -> Callable[[int, str], Callable[[], object]]:
    """Return the preparation of an upsampler from patches of 16 px."""

    def prepare(side: int, device: str) -> Callable[[], object]:
        upsample = random_upsampler(name, device)
        coarse = torch.rand(2, CHANNELS, side // 16, side // 16, device=device)
        images = torch.rand(2, 3, side, side, device=device)
        return lambda: upsample(coarse, images)

    return prepare


PARTS = {
    "renderer": renderer,
    "dino16": features("dino16"),
    "dinov2": features("dinov2"),
    "bilinear": upsampler("bilinear"),
    "featup": upsampler("featup"),
}


if __name__ == "__main__":
    main()
