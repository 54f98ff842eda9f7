"""Time the forward warp: nested loop, the paper's unique-based vectorisation, ours in both modes (paper, Table 5).

    python benchmark/performance/warp.py --output table5.csv

Most of the run's time is the loop's: about 10 s a repeat at 1024 pixels. The paper's own numbers are in
benchmark/published/table5.csv. "x unique" compares medians, and fastest executions in brackets: on a busy machine
the fastest are the ones least disturbed.
"""

import argparse
from pathlib import Path

import torch

from stereozero.stereo.warp_timing import WarpTiming, time_warps, write_timings


def main() -> None:
    """Time the warp, print a table and, if asked, write it as CSV."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resolutions", type=int, nargs="+", default=[128, 512, 1024], metavar="PIXELS")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--loop-repeats", type=int, default=1)
    parser.add_argument("--strength", type=float, default=4.0, help="percent of the width")
    parser.add_argument("--channels", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, help="CPU threads of torch (default: torch's own choice)")
    parser.add_argument("--output", type=Path, help="CSV file to write")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    timings = time_warps(
        arguments.resolutions,
        repeats=arguments.repeats,
        loop_repeats=arguments.loop_repeats,
        strength=arguments.strength,
        channels=arguments.channels,
        device=arguments.device,
    )
    print_table(timings)
    if arguments.output:
        write_timings(arguments.output, timings)


def print_table(timings: list[WarpTiming]) -> None:
    """Print one line per timing, with the speed relative to the unique-based vectorisation."""
    unique = {t.resolution: t for t in timings if t.implementation == "unique"}
    print(
        f"device {timings[0].device}, {timings[0].threads} threads, {timings[0].dtype}, {timings[0].channels} channels"
    )
    columns = f"{'pixels':>6} {'implementation':<14} {'median ms':>11} {'quartiles ms':>23} {'min ms':>9}"
    print(f"{columns} {'x unique':>15} repeats")
    for t in timings:
        quartiles = f"{t.milliseconds_q1:.2f} ... {t.milliseconds_q3:.2f}"
        base = unique[t.resolution]
        speed = f"{base.milliseconds_median / t.milliseconds_median:.3g}"
        speed += f" ({base.milliseconds_min / t.milliseconds_min:.3g})"
        print(
            f"{t.resolution:>6} {t.implementation:<14} {t.milliseconds_median:>11.2f} {quartiles:>23} "
            f"{t.milliseconds_min:>9.2f} {speed:>15} {t.repeats:>7}"
        )


if __name__ == "__main__":
    main()
