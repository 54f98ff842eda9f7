"""Times of the forward warp in four implementations (paper, Table 5), all in one run and checked against each other.

The paper times one execution at 128 and 512 without saying on what hardware, with what image or at what strength. Here:
one square RGB image of random values in float32, a disparity with slopes and steps, the method's own strength of 4 %.
Values don't matter to the time; the disparity does a little (collisions, blanks), hence not a flat or random one.
"""

import csv
import logging
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from stereozero.artifacts import atomic_path
from stereozero.errors import InputError, StageError
from stereozero.stereo.warp import forward_warp
from stereozero.stereo.warp_reference import loop_warp, unique_warp

log = logging.getLogger(__name__)

_SMOOTH_SIZE = 8
"""Control points of the random disparity along each side."""


@dataclass(frozen=True)
class WarpTiming:
    """How long one implementation takes at one resolution.

    Attributes:
        resolution: width and height in pixels.
        implementation: ``loop``, ``unique`` (the paper's "vectorized"), ``ours-whole`` or ``ours-subpixel``.
        milliseconds_median: median over the repeats.
        milliseconds_mean: mean over the repeats.
        milliseconds_min: the fastest; on a busy machine the one least disturbed.
        milliseconds_q1: first quartile.
        milliseconds_q3: third quartile.
        repeats: executions that were timed; but for the loop, after one that was not.
        device: name of the processor type, e.g. ``cpu`` or ``cuda (NVIDIA H100)``.
        threads: CPU threads that torch may use.
        dtype: of the image.
        channels: of the image.
        strength: percent of the width.
    """

    resolution: int
    implementation: str
    milliseconds_median: float
    milliseconds_mean: float
    milliseconds_min: float
    milliseconds_q1: float
    milliseconds_q3: float
    repeats: int
    device: str
    threads: int
    dtype: str
    channels: int
    strength: float


def time_warps(
    resolutions: Sequence[int] = (128, 512, 1024),
    *,
    repeats: int = 20,
    loop_repeats: int = 1,
    strength: float = 4.0,
    channels: int = 3,
    device: str = "cpu",
    seed: int = 0,
) -> list[WarpTiming]:
    """Time all implementations at all resolutions, after checking that the whole-cell ones agree to the bit.

    The implementations but the loop are timed in turns, so that a busy moment of the machine meets all of them alike.

    Args:
        resolutions: widths (= heights) in pixels.
        repeats: timed executions of each implementation, at least 1.
        loop_repeats: the same for the loop, which takes seconds.
        strength: percent of the width.
        channels: of the image.
        device: a torch device.
        seed: of the image and the disparity.

    Returns:
        One timing per resolution and implementation, slowest implementation first.

    Raises:
        InputError: for a size or count that is not positive.
        StageError: if two implementations disagree.
    """
    if min(*resolutions, channels, repeats, loop_repeats) < 1:
        raise InputError("resolutions, channels, repeats and loop_repeats must be at least 1")
    timings = []
    for resolution in resolutions:
        image, disparity = _scene(resolution, channels, seed, device)  # (1, C, R, R), (1, R, R)
        implementations = _implementations(image, disparity, strength)
        loop_times, truth = _time_loop(implementations["loop"], loop_repeats, device)
        _check_equal(implementations, truth, resolution)
        times = {"loop": loop_times, **_time_in_turns(implementations, repeats, device)}
        for name, milliseconds in times.items():
            timings.append(_summary(resolution, name, milliseconds, image, strength))
            log.info("%4d %-14s %10.3f ms", resolution, name, timings[-1].milliseconds_median)
    return timings


def write_timings(path: Path, timings: Sequence[WarpTiming]) -> None:
    """Write timings as tidy CSV, one row each, with the attributes of :class:`WarpTiming` as columns."""
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, [field.name for field in fields(WarpTiming)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(timing) for timing in timings)


def _scene(resolution: int, channels: int, seed: int, device: str) -> tuple[Tensor, Tensor]:
    """Return an image (1, C, R, R) and a disparity (1, R, R): a smooth background with a near square in the middle."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(1, channels, resolution, resolution, generator=generator)  # (1, C, R, R)
    coarse = torch.rand(1, 1, _SMOOTH_SIZE, _SMOOTH_SIZE, generator=generator)  # (1, 1, 8, 8)
    disparity = 0.7 * functional.interpolate(coarse, (resolution, resolution), mode="bilinear")[0]  # (1, R, R)
    middle = slice(resolution // 3, 2 * resolution // 3)
    disparity[:, middle, middle] += 0.3
    return image.to(device), disparity.to(device)


def _implementations(image: Tensor, disparity: Tensor, strength: float) -> dict[str, Callable[[], Tensor]]:
    return {
        "loop": lambda: loop_warp(image, disparity, strength),
        "unique": lambda: unique_warp(image, disparity, strength),
        "ours-whole": lambda: forward_warp(image, disparity, strength, "whole").image,
        "ours-subpixel": lambda: forward_warp(image, disparity, strength, "subpixel").image,
    }


def _time_loop(run: Callable[[], Tensor], repeats: int, device: str) -> tuple[list[float], Tensor]:
    """Time the loop, without a warm-up (it has nothing to warm up and takes seconds), and return what it gives."""
    results = []
    times = [_milliseconds(lambda: results.append(run()), device) for _ in range(repeats)]
    return times, results[-1]


def _check_equal(implementations: dict[str, Callable[[], Tensor]], truth: Tensor, resolution: int) -> None:
    for name in ("unique", "ours-whole"):
        if not torch.equal(implementations[name](), truth):
            raise StageError(f"warp implementations {name} and loop differ at {resolution} pixels on {truth.device}")


def _time_in_turns(
    implementations: dict[str, Callable[[], Tensor]], repeats: int, device: str
) -> dict[str, list[float]]:
    """Time all implementations but the loop, each ``repeats`` times after one execution that is not timed."""
    fast = {name: run for name, run in implementations.items() if name != "loop"}
    for run in fast.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in fast}
    for _ in range(repeats):
        for name, run in fast.items():
            times[name].append(_milliseconds(run, device))
    return times


def _milliseconds(run: Callable[[], object], device: str) -> float:
    _finish(device)
    start = time.perf_counter()
    run()
    _finish(device)
    return 1000 * (time.perf_counter() - start)


def _finish(device: str) -> None:
    """Wait until the device has done all that was asked of it."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def _summary(
    resolution: int, implementation: str, milliseconds: list[float], image: Tensor, strength: float
) -> WarpTiming:
    quartiles = (
        statistics.quantiles(milliseconds, n=4, method="inclusive") if len(milliseconds) > 1 else milliseconds * 3
    )
    return WarpTiming(
        resolution=resolution,
        implementation=implementation,
        milliseconds_median=round(quartiles[1], 4),
        milliseconds_mean=round(statistics.fmean(milliseconds), 4),
        milliseconds_min=round(min(milliseconds), 4),
        milliseconds_q1=round(quartiles[0], 4),
        milliseconds_q3=round(quartiles[2], 4),
        repeats=len(milliseconds),
        device=_device_name(image.device),
        threads=torch.get_num_threads(),
        dtype=str(image.dtype).removeprefix("torch."),
        channels=image.shape[1],
        strength=strength,
    )


def _device_name(device: torch.device) -> str:
    return f"cuda ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else device.type
