"""``python -m stereozero.world.training``: train the embedded generator, one network a call.

In this order: vae, clip, unet, evaluate, export. Each training saves as it goes and goes on where it was saved; "adopt"
prepares going on from an exported model.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from stereozero.device import resolve_device
from stereozero.errors import StereoZeroError
from stereozero.world.training import stages

TRAININGS = {"vae": stages.train_vae, "clip": stages.train_clip, "unet": stages.train_unet}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one part; returns the exit status."""
    given = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        if given.what in TRAININGS:
            TRAININGS[given.what](given.work_dir, given.steps, resolve_device(given.device))
        elif given.what == "evaluate":
            stages.evaluate_generator(given.work_dir, given.clips, resolve_device(given.device))
        elif given.what == "adopt":
            stages.adopt_generator(given.work_dir, given.model)
        else:
            stages.export_generator(given.work_dir, given.to)
    except StereoZeroError as error:
        sys.exit(f"{error}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stereozero.world.training", description=__doc__)
    parts = parser.add_subparsers(dest="what", required=True)
    for name, train in TRAININGS.items():
        part = _part(parts, name, train.__doc__)
        part.add_argument("--steps", type=int, default=stages.STEPS[name], help="in all; default: %(default)s")
        part.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    part = _part(parts, "evaluate", stages.evaluate_generator.__doc__)
    part.add_argument("--clips", type=int, default=48, help="held-out clips to generate; default: %(default)s")
    part.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    part = _part(parts, "export", stages.export_generator.__doc__)
    part.add_argument("--to", type=Path, default=Path("models/generator"), help="default: %(default)s")
    part = _part(parts, "adopt", stages.adopt_generator.__doc__)
    part.add_argument("--model", type=Path, default=Path("models/generator"), help="default: %(default)s")
    return parser


def _part(parts: argparse._SubParsersAction, name: str, documented: str) -> argparse.ArgumentParser:
    text = documented.splitlines()[0]
    part = parts.add_parser(name, help=text, description=text)
    part.add_argument("--work-dir", type=Path, default=Path("build/generator"), help="default: %(default)s")
    return part


if __name__ == "__main__":
    sys.exit(main())
