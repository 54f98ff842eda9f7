"""Speed of the synthetic world: clips a second, one thread.

    python benchmark/performance/world.py [--height 64 --width 96 --frames 16 --clips 20 --rounds 3]

Three amounts of work are timed: the left view's colours alone, the left view with its disparity (what training the
models needs), and everything a clip has. Sampling the scene is included. The fastest of some rounds is reported,
because other work on the machine can only slow a round down.
"""

import argparse
import time

import cv2

from stereozero.world import KINDS, render_clip, sample_scene

WORK = {
    "left": ("left",),
    "left + disparity": ("left", "disparity"),
    "both views": ("left", "right"),
    "everything": (
        *("left", "right", "depth", "disparity_px", "right_disparity_px", "layer_ids", "right_layer_ids"),
        *("left_hidden", "right_hidden", "flow", "backward_flow", "caption"),
    ),
}


def seconds(kind: str, fields: tuple[str, ...], arguments: argparse.Namespace) -> float:
    """Time of one round over all clips [s]."""
    size = {"frames": arguments.frames, "height": arguments.height, "width": arguments.width}
    start = time.perf_counter()
    for seed in range(arguments.clips):
        clip = render_clip(sample_scene(kind, seed), **size)
        for field in fields:
            getattr(clip, field)
    return time.perf_counter() - start


def main() -> None:
    """Prints a table of clips a second."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name, default in (("frames", 16), ("height", 64), ("width", 96), ("clips", 20), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    print(f"clips a second, {arguments.frames} x {arguments.height} x {arguments.width}, one thread")
    print("kind".ljust(10) + "".join(name.rjust(18) for name in WORK))
    for kind in KINDS:
        seconds(kind, WORK["left"], arguments)  # warm up
        best = [min(seconds(kind, f, arguments) for _ in range(arguments.rounds)) for f in WORK.values()]
        print(kind.ljust(10) + "".join(f"{arguments.clips / time:18.1f}" for time in best))


if __name__ == "__main__":
    main()
