"""Stand-ins for other people's programs: the same command lines and file layouts, none of their code or results.

Each is a script in a git repository of its own, run by this Python. They exist for tests only.
"""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from stereozero.baselines.declaration import Conversion, Declaration
from stereozero.baselines.external import Program

PAINTER = """
import argparse, pathlib
import numpy as np
from PIL import Image
parser = argparse.ArgumentParser()
for name in ("video", "mask", "output", "mask_dilation", "ref_stride", "neighbor_length", "subvideo_length",
             "raft_iter"):
    parser.add_argument(f"--{name}", required=True)
parser.add_argument("--save_frames", action="store_true", required=True)
given = parser.parse_args()
frames = sorted(pathlib.Path(given.video).iterdir())
masks = sorted(pathlib.Path(given.mask).iterdir())
target = pathlib.Path(given.output) / pathlib.Path(given.video).name / "frames"
target.mkdir(parents=True)
for number, (frame, mask) in enumerate(zip(frames, masks, strict=True)):
    picture, hole = np.array(Image.open(frame)), np.array(Image.open(mask).convert("L")) > 0
    assert picture.shape[0] % 8 == 0 and picture.shape[1] % 8 == 0
    picture[hole] = (0, 255, 0)
    {change}
    Image.fromarray(picture).save(target / f"{number:04d}.png")
"""
"""ProPainter's command line and layout; paints every masked pixel green."""


def git_repository(folder: Path, files: dict[str, str]) -> str:
    """Make a git repository with some files; returns its commit."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    for command in (["init", "--quiet"], ["add", "."], [*identity, "commit", "--quiet", "-m", "stand-in"]):
        subprocess.run(["git", "-C", str(folder), *command], check=True)
    head = subprocess.run(["git", "-C", str(folder), "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return head.stdout.strip()


def at(declaration: Declaration, repository: Path, commit: str) -> Declaration:
    """Return a declaration of the same program with other code and no weights."""
    source = replace(declaration.source, repository=str(repository), commit=commit, submodules=False)
    return replace(declaration, source=source, weights=())


def program(folder: Path, files: dict[str, str], name: str = "stand-in", timeout_s: float = 60) -> Program:
    """Return a program of some scripts."""
    for script, text in files.items():
        path = folder / script
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Program(name, folder, Path(sys.executable), timeout_s)


def conversion(
    tmp_path: Path, frames: int = 4, height: int = 24, width: int = 40, strength: float = 10.0
) -> Conversion:
    """Return a clip: smooth colours behind a grey bar that is nearer."""
    rows, columns = np.mgrid[:height, :width]
    colours = np.stack([rows * 5, columns * 5, 255 - columns * 5], axis=-1).clip(0, 255)
    source = np.repeat(colours[None].astype(np.uint8), frames, axis=0)
    disparity = np.zeros((frames, height, width), np.float32)
    for number in range(frames):
        source[number, :, 12 + number : 20 + number] = 128
        disparity[number, :, 12 + number : 20 + number] = 1
    work = tmp_path / "work"
    work.mkdir(exist_ok=True)
    return Conversion(source, 8, disparity, strength, 0, "cpu", work, tmp_path / "program.log")
