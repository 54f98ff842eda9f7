"""Time and weigh the depth estimators at real size, with random weights: nothing is downloaded.

Prints one JSON line an estimator: its parameters, the seconds of a clip and of a frame, and the peak memory, of the GPU
where there is one, else of the process with all that it imports. Each estimator has a process of its own.

    python benchmark/performance/depth.py
    python benchmark/performance/depth.py --device cpu --threads 1 --estimators dis depth-anything-v2-small
    python benchmark/performance/depth.py --device cpu --threads 1 --estimators depthcrafter --height 320 --width 576

On a GPU a clip has 16 frames of 576 x 1024 pixels, as the largest generator makes them. On a CPU it has 256 x 256, as
the smallest does, and as few frames as make sense: one for image models, two for flow and DepthCrafter. Video Depth
Anything gets the 32 frames of its window on both. Depth Pro sees 1536 x 1536 pixels of a frame of any size, the others
but DepthCrafter and flow scale it to about 518.

- DepthCrafter is not sampled to its end: one evaluation of the U-Net is timed, and counted as often as the default
  settings evaluate it.
- raft_large and dis are flow in both directions and the propagation along it, a frame being a pair of neighbours.
- "cpu_seconds" is processor time: with --threads 1 it says, also on a busy machine, what a free core would take.
"""

import argparse
import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stereozero.device import resolve_device

# All else is imported where it is used, so that an estimator's process holds no other's libraries.
if TYPE_CHECKING:
    from torch import Tensor, nn

    from stereozero.depth.depthcrafter import DepthCrafterSettings
    from stereozero.depth.flow import FlowEstimator

SVD_VAE = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "sample_size": 768,
}
SVD_IMAGE_ENCODER = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 16,
    "patch_size": 14,
    "projection_dim": 1024,
    "hidden_act": "gelu",
}
SVD_SCHEDULER = {
    "prediction_type": "v_prediction",
    "timestep_type": "continuous",
    "use_karras_sigmas": True,
    "sigma_min": 0.002,
    "sigma_max": 700.0,
}
DEPTH_PRO_ENCODER = {
    "model_type": "dinov2",
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 384,
    "patch_size": 16,
    "use_mask_token": False,
}


@dataclass(frozen=True)
class Part:
    """A piece of an estimation, and how often a clip takes it."""

    name: str
    run: Callable[[], object]
    times: int = 1


@dataclass(frozen=True)
class Work:
    """All pieces of a clip's estimation, and the networks that do it.

    Attributes:
        parts: don't need each other's results.
        networks: whose parameters are counted.
        dtype: of the computation.
        units: frames, or pairs of frames, that share the seconds.
    """

    parts: Sequence[Part]
    networks: Sequence["nn.Module"]
    dtype: str
    units: int


@dataclass(frozen=True)
class Case:
    """An estimator.

    Attributes:
        prepare: (video (F, 3, H, W) in [0, 1], dtype, device) -> the work it makes.
        frames: as few as make sense.
        dtype: on a CPU; the networks with more than half a billion parameters are in bf16 there, to fit in 16 GB.
    """

    prepare: Callable[["Tensor", str, str], Work]
    frames: int = 1
    dtype: str = "fp32"


@dataclass(frozen=True)
class Seconds:
    """How long something took: by the clock, and of the processor's time."""

    seconds: float
    cpu_seconds: float

    def __mul__(self, times: int) -> "Seconds":
        return Seconds(self.seconds * times, self.cpu_seconds * times)

    def __add__(self, other: "Seconds") -> "Seconds":
        return Seconds(self.seconds + other.seconds, self.cpu_seconds + other.cpu_seconds)


def main() -> None:
    """Measure each estimator in a process of its own and print a line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--estimators", choices=list(CASES), nargs="+", default=list(CASES), metavar="NAME")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--dtype", choices=("fp32", "fp16", "bf16"), help="default: fp16; on a CPU fp32, bf16 if large")
    parser.add_argument("--height", type=int, help="px; DepthCrafter takes multiples of 64")
    parser.add_argument("--width", type=int, help="px, likewise")
    parser.add_argument("--frames", type=int)
    parser.add_argument("--repeats", type=int, default=1, help="the median counts; a GPU is warmed up once more")
    parser.add_argument("--threads", type=int, help="of the CPU (default: torch's own choice)")
    given = parser.parse_args()
    for name in given.estimators:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            print(json.dumps(process.submit(measure, name, given).result()), flush=True)


def measure(name: str, given: argparse.Namespace) -> dict[str, Any]:
    """Measure an estimator in this process, which has not measured another."""
    import cv2
    import torch

    if given.threads:
        torch.set_num_threads(given.threads)
        cv2.setNumThreads(given.threads)
    torch.manual_seed(0)
    case, device = CASES[name], resolve_device(given.device)
    video = random_video(case, given, device)
    dtype = given.dtype or (case.dtype if device == "cpu" else "fp16")
    work = case.prepare(video, dtype, device)
    timed = {part: median_seconds(part.run, device, given.repeats) for part in work.parts}
    total = sum((seconds * part.times for part, seconds in timed.items()), start=Seconds(0, 0))
    frames, _, height, width = video.shape
    return {
        "name": name,
        "parameters": parameters(work.networks),
        **asdict(total),
        "seconds_per_frame": total.seconds / work.units,
        "cpu_seconds_per_frame": total.cpu_seconds / work.units,
        "peak_memory_mib": peak_memory(device),
        "frames": frames,
        "height": height,
        "width": width,
        "device": torch.cuda.get_device_name() if device == "cuda" else device,
        "dtype": work.dtype,
        "threads": torch.get_num_threads(),
        "parts": {part.name: {"times": part.times, **asdict(seconds)} for part, seconds in timed.items()},
    }


def random_video(case: Case, given: argparse.Namespace, device: str) -> "Tensor":
    """Return noise (F, 3, H, W) in [0, 1] of the size that is asked for."""
    import torch

    frames, height, width = (case.frames, 256, 256) if device == "cpu" else (max(16, case.frames), 576, 1024)
    return torch.rand(given.frames or frames, 3, given.height or height, given.width or width)


def median_seconds(run: Callable[[], object], device: str, repeats: int) -> Seconds:
    """Return the median time of a call."""
    if device == "cuda":
        seconds_of(run, device)
    taken = [seconds_of(run, device) for _ in range(repeats)]
    return Seconds(*(statistics.median(getattr(one, name) for one in taken) for name in ("seconds", "cpu_seconds")))


def seconds_of(run: Callable[[], object], device: str) -> Seconds:
    """Time a call, until the device has finished it."""
    import torch

    wall, cpu = time.perf_counter(), time.process_time()
    run()
    if device == "cuda":
        torch.cuda.synchronize()
    return Seconds(time.perf_counter() - wall, time.process_time() - cpu)


def peak_memory(device: str) -> float:
    """Return the peak memory of the GPU where there is one, else of the process so far [MiB]."""
    from stereozero.provenance import peak_memory_mb

    return peak_memory_mb()["cuda" if device == "cuda" else "host"]


def parameters(networks: Sequence["nn.Module"]) -> int:
    """Return the number of parameters."""
    return sum(parameter.numel() for network in networks for parameter in network.parameters())


def random_network(build: Callable[[], "nn.Module"], dtype: str, device: str) -> "nn.Module":
    """Build a network with small random weights, which are never there in another dtype or twice."""
    import torch

    from stereozero.backbones.loading import DTYPES

    with torch.device("meta"):
        network = build()
    torch.nn.Module.to(network, DTYPES[dtype])  # diffusers' own warns of networks that want float32; these don't
    network.to_empty(device=device).requires_grad_(False).eval()
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.is_floating_point():
            tensor.normal_(std=0.02)
        else:
            tensor.copy_(torch.arange(tensor.numel()))  # positions in CLIP, the only whole numbers
    return network


# The estimators


def depthcrafter(video: "Tensor", dtype: str, device: str) -> Work:
    """Prepare DepthCrafter: a clip's encoding and decoding, and one evaluation on its first window."""
    import torch
    from diffusers import AutoencoderKLTemporalDecoder, EulerDiscreteScheduler
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    from stereozero.depth.depthcrafter import DepthCrafter, DepthCrafterNetworks, DepthCrafterSettings, VideoCondition
    from stereozero.depth.framewise_unet import FramewiseUNet

    image_encoder = CLIPVisionConfig(**SVD_IMAGE_ENCODER)
    networks = DepthCrafterNetworks(
        random_network(FramewiseUNet, dtype, device),  # the published network is diffusers' default
        random_network(lambda: AutoencoderKLTemporalDecoder(**SVD_VAE), "fp32", device),
        random_network(lambda: CLIPVisionModelWithProjection(image_encoder), dtype, device),
    )
    model, settings = DepthCrafter(networks, EulerDiscreteScheduler(**SVD_SCHEDULER)), DepthCrafterSettings()
    frames, _, height, width = video.shape
    noise, levels = model.draw_noise(frames, height, width, settings), model.levels(settings.steps)
    start = noise.initial.to(device)  # (N, C, h, w)
    tokens = torch.randn(len(start), image_encoder.projection_dim, device=device)  # (N, D)
    evaluation = partial(model.predict_velocity, start, levels.sigmas[0], levels.timesteps[0])
    latents = start.new_zeros(frames, *start.shape[1:])  # (F, C, h, w)
    parts = (
        Part("encode", lambda: model.encode(video, noise.augmentation, settings)),
        Part("evaluate", lambda: evaluation(VideoCondition(start, tokens), settings), evaluations(frames, settings)),
        Part("decode", lambda: model.decode(latents, settings)),
    )
    return Work(parts, list(vars(networks).values()), dtype, frames)


def evaluations(frames: int, settings: "DepthCrafterSettings") -> int:
    """Return how often DepthCrafter evaluates its U-Net for a clip of so many frames."""
    from stereozero.depth.windows import windows

    branches = 1 if settings.guidance == 1 else 2
    return len(windows(frames, settings.window, settings.overlap)) * settings.steps * branches


def depth_pro(video: "Tensor", dtype: str, device: str) -> Work:
    """Prepare Depth Pro."""
    import torch
    from transformers import DepthProConfig, DepthProForDepthEstimation

    from stereozero.depth.depth_pro import DepthProEstimator

    encoders = {f"{part}_model_config": dict(DEPTH_PRO_ENCODER) for part in ("image", "patch", "fov")}
    config = DepthProConfig(use_fov_model=True, **encoders)
    network = random_network(lambda: DepthProForDepthEstimation(config), dtype, device)
    torch.nn.init.constant_(network.fov_model.head.layers[-1].bias, 60.0)  # degrees; 0 would be refused
    return whole_clip(DepthProEstimator(network).estimate, video, network, dtype)


def depth_anything(variant: str, video: "Tensor", dtype: str, device: str) -> Work:
    """Prepare Depth Anything."""
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

    from stereozero.depth.depth_anything import DepthAnythingEstimator
    from stereozero.depth.video_depth_anything.network import SIZES, Size

    size = {
        "v1-large": replace(SIZES["vitl"], taps=(20, 21, 22, 23)),
        "v2-small": SIZES["vits"],
        "v2-base": Size(768, 12, 12, (2, 5, 8, 11), (96, 192, 384, 768), 128),
        "v2-large": SIZES["vitl"],
    }[variant]
    encoder = Dinov2Config(
        hidden_size=size.width,
        num_hidden_layers=size.blocks,
        num_attention_heads=size.heads,
        image_size=518,
        patch_size=14,
        out_indices=[tap + 1 for tap in size.taps],  # transformers counts the patches as the first
        reshape_hidden_states=False,
    )
    config = DepthAnythingConfig(
        backbone_config=encoder,
        reassemble_hidden_size=size.width,
        neck_hidden_sizes=list(size.channels),
        fusion_hidden_size=size.features,
    )
    network = random_network(lambda: DepthAnythingForDepthEstimation(config), dtype, device)
    return whole_clip(DepthAnythingEstimator(network).estimate, video, network, dtype)


def video_depth_anything(size: str, video: "Tensor", dtype: str, device: str) -> Work:
    """Prepare Video Depth Anything, whose weights are float32 whatever it computes in."""
    from stereozero.backbones.loading import DTYPES
    from stereozero.depth.video_depth_anything import VideoDepthAnythingEstimator
    from stereozero.depth.video_depth_anything.checkpoint import build_on_meta

    network = random_network(lambda: build_on_meta(size), "fp32", device)
    return whole_clip(VideoDepthAnythingEstimator(network, DTYPES[dtype]).estimate, video, network, dtype)


def whole_clip(estimate: Callable[["Tensor"], object], video: "Tensor", network: "nn.Module", dtype: str) -> Work:
    """Return the work of an estimator that does all at once."""
    return Work([Part("estimate", lambda: estimate(video))], [network], dtype, len(video))


def raft(video: "Tensor", dtype: str, device: str) -> Work:
    """Prepare RAFT and the propagation along its flow; both are float32 in any case."""
    import torch
    from torchvision.models.optical_flow import raft_large

    from stereozero.depth.flow import RaftFlow

    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "raft_large.pth"
        torch.save(raft_large(weights=None).state_dict(), checkpoint)
        flow = RaftFlow("raft_large", checkpoint=checkpoint, device=device)
    return propagation(flow, video, [flow.network])


def dis(video: "Tensor", dtype: str, device: str) -> Work:
    """Prepare DIS, which runs on the CPU in any case, and the propagation along its flow."""
    from stereozero.depth.flow import DisFlow

    return propagation(DisFlow(), video, [])


def propagation(flow: "FlowEstimator", video: "Tensor", networks: Sequence["nn.Module"]) -> Work:
    """Return the work of a flow estimator and of the propagation, which takes as long with any flow."""
    import torch

    from stereozero.depth.flow import Flow
    from stereozero.depth.propagation import propagate

    frames, _, height, width = video.shape
    still = Flow(*torch.zeros(2, frames - 1, 2, height, width))
    parts = (
        Part("flow", lambda: flow.estimate(video)),
        Part("propagate", lambda: propagate(video.mean(1), still)),
    )
    return Work(parts, networks, "fp32", max(1, frames - 1))


CASES = {
    "depthcrafter": Case(depthcrafter, frames=2, dtype="bf16"),
    "depth-pro": Case(depth_pro, dtype="bf16"),
    "depth-anything-v1-large": Case(partial(depth_anything, "v1-large")),
    "depth-anything-v2-small": Case(partial(depth_anything, "v2-small")),
    "depth-anything-v2-base": Case(partial(depth_anything, "v2-base")),
    "depth-anything-v2-large": Case(partial(depth_anything, "v2-large")),
    "video-depth-anything-vits": Case(partial(video_depth_anything, "vits"), frames=32),
    "video-depth-anything-vitl": Case(partial(video_depth_anything, "vitl"), frames=32),
    "raft_large": Case(raft, frames=2),
    "dis": Case(dis, frames=2),
}


if __name__ == "__main__":
    main()
