"""Time the parts of MEt3R beside the geometry networks, at full size, with random weights: nothing is downloaded.

Prints the median time of a pair of views, in one direction, for each side of a square image:

- renderer: both point clouds, radius 0.01, 384 features (the raster has the image's size);
- stereo: the pair's own disparity by SGBM, on the CPU in any case;
- dino16, dinov2: features of both views (DINO ViT-S/16, DINOv2 ViT-S/14);
- bilinear, featup: upsampling of both views' features.

    python benchmark/performance/met3r_score.py --sides 128 256 512 --device cuda
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from stereozero.metrics.met3r.featup import JbuStack
from stereozero.metrics.met3r.features import PatchFeatures
from stereozero.metrics.met3r.matching import StereoMatching
from stereozero.metrics.met3r.rendering import Raster, composite, project, rasterise
from stereozero.metrics.met3r.upsampling import FeatUp, Interpolation
from stereozero.metrics.met3r.vit import DINO_VITS16, DINOV2, VisionTransformer

CHANNELS = 384


def main() -> None:
    """Time every part at every size and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=[128, 256, 512], metavar="PIXELS")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, help="CPU threads of torch (default: torch's own choice)")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    print(f"device {given.device}, {torch.get_num_threads()} threads, seconds a pair, one direction")
    print(f"{'part':<10}" + "".join(f"{side:>10}" for side in given.sides))
    for name, prepare in PARTS.items():
        times = [median_time(prepare(side, given.device), given.repeats, given.device) for side in given.sides]
        print(f"{name:<10}" + "".join(f"{seconds:>10.4f}" for seconds in times), flush=True)


@torch.no_grad()
def median_time(run: Callable[[], object], repeats: int, device: str) -> float:
    """Return the median time of a call [s], after one that is not counted."""
    run()
    times = []
    for _ in range(repeats):
        _wait(device)
        start = time.perf_counter()
        run()
        _wait(device)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def renderer(side: int, device: str) -> Callable[[], object]:
    """Return the rendering of two clouds of side x side points that fill the raster."""
    torch.manual_seed(0)
    depth = 2 + torch.rand(2, side**2, 1, device=device)
    directions = torch.rand(2, side**2, 2, device=device) * 2 - 1
    points = torch.cat([directions * depth, depth], dim=-1)  # (2, P, 3)
    features = torch.rand(2, side**2, CHANNELS, device=device)
    raster, focal = Raster(side, side), torch.ones(2, 2, device=device)
    return lambda: composite(rasterise(project(points, focal), raster), features, raster.radius)


def stereo(side: int, device: str) -> Callable[[], object]:
    """Return the matching of a random pair that is shifted by two pixels."""
    torch.manual_seed(0)
    left = torch.rand(1, 3, side, side) * 2 - 1
    pair = torch.stack([left, left.roll(-2, dims=-1)], dim=1)
    return lambda: StereoMatching().match(pair)


def features(name: str) -> Callable[[int, str], Callable[[], object]]:
    """Return the preparation of a feature network; sides are cut to a multiple of its patches."""
    config = DINO_VITS16 if name == "dino16" else DINOV2["dinov2_vits14"]

    def prepare(side: int, device: str) -> Callable[[], object]:
        network = PatchFeatures(VisionTransformer(config)).to(device)
        images = torch.rand(2, 3, *[side // config.patch_size * config.patch_size] * 2, device=device)
        return lambda: network(images)

    return prepare


def upsampler(name: str) -> Callable[[int, str], Callable[[], object]]:
    """Return the preparation of an upsampler from patches of 16 px."""

    def prepare(side: int, device: str) -> Callable[[], object]:
        stack = JbuStack(CHANNELS).to(device).requires_grad_(False).eval()
        upsample = FeatUp(stack) if name == "featup" else Interpolation(name)
        coarse = torch.rand(2, CHANNELS, side // 16, side // 16, device=device)
        images = torch.rand(2, 3, side, side, device=device)
        return lambda: upsample(coarse, images)

    return prepare


PARTS = {
    "renderer": renderer,
    "stereo": stereo,
    "dino16": features("dino16"),
    "dinov2": features("dinov2"),
    "bilinear": upsampler("bilinear"),
    "featup": upsampler("featup"),
}


if __name__ == "__main__":
    main()
