"""ProPainter as a baseline: it paints the holes of the forward-warped view (Zhou et al., ICCV 2023, arXiv 2309.03897).

What was read, in sczhou/ProPainter: inference_propainter.py (command line, mask handling, sizes, results) and
requirements.txt, LICENSE, README.md at the pinned commit or before. The weights' checksums stand in several public
projects that pin them, independently of each other; they were not computed here. The packages' versions were chosen for
the pinned code; its own list has no upper bounds. The StereoCrafter-Zero paper does not say how its view was warped nor
with which mask dilation: here it is the same sub-pixel warp as of the other rows, and the program's own default.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stereozero.baselines.declaration import (
    Conversion,
    Declaration,
    EnvironmentRecipe,
    Published,
    Source,
    WeightFile,
)
from stereozero.baselines.external import Program
from stereozero.baselines.frame_files import read_frames, write_frames
from stereozero.errors import InputError

_MULTIPLE = 8
_RELEASE = "https://github.com/sczhou/ProPainter/releases/download/v0.1.0"

DECLARATION = Declaration(
    name="propainter",
    paper="Zhou, Li, Chan, Loy: ProPainter: Improving Propagation and Transformer for Video Inpainting, ICCV 2023, "
    "arXiv 2309.03897",
    licence="ProPainter's code and weights are under the NTU S-Lab License 1.0: non-commercial use only",
    limits="any size: sides that are no multiples of 8 are extended by their last row or column and cut off again; "
    "two frames at least",
    source=Source("https://github.com/sczhou/ProPainter.git", "9243b7abf14098675da057114c63d9e502d4741d"),
    environment=EnvironmentRecipe(
        python="3.10",
        packages=(
            "torch==2.1.2",
            "torchvision==0.16.2",
            "av==12.3.0",
            "addict==2.4.0",
            "einops==0.8.1",
            "future==1.0.0",
            "imageio-ffmpeg==0.5.1",
            "matplotlib==3.9.4",
            "numpy==1.26.4",
            "opencv-python-headless==4.10.0.84",
            "pyyaml==6.0.2",
            "requests==2.32.5",
            "scikit-image==0.24.0",
            "scipy==1.11.4",
            "timm==1.0.20",
            "tqdm==4.67.1",
            "yapf==0.43.0",
        ),
    ),
    weights=(
        WeightFile(
            "weights/ProPainter.pth",
            f"{_RELEASE}/ProPainter.pth",
            "12c070c4b48f374c91d8a2a17851140b85c159621080989f9e191bbc18bd6591",
        ),
        WeightFile(
            "weights/recurrent_flow_completion.pth",
            f"{_RELEASE}/recurrent_flow_completion.pth",
            "22939a1a7900da878dbe1ccd011d646b1bfb30b8290039d8ff0e0c2fefbfd283",
        ),
        WeightFile(
            "weights/raft-things.pth",
            f"{_RELEASE}/raft-things.pth",
            "fcfa4125d6418f4de95d84aec20a3c5f4e205101715a79f193243c186ac9a7e1",
        ),
    ),
    published=Published(
        "table1", "propainter", "40 clips of DynamiCrafter; warp, mask dilation and depth of that row are not stated"
    ),
)


@dataclass(frozen=True)
class Settings:
    """The program's own options, with its defaults.

    Attributes:
        mask_dilation: pixels by which it grows the holes.
        ref_stride, neighbor_length, subvideo_length, raft_iter: as in its command line.
        fp16: half precision.
    """

    mask_dilation: int = 4
    ref_stride: int = 10
    neighbor_length: int = 10
    subvideo_length: int = 80
    raft_iter: int = 20
    fp16: bool = False


def convert(conversion: Conversion, program: Program, settings: Settings) -> np.ndarray:
    """Warp the source view and let ProPainter paint the holes: (F, H, W, 3) uint8 RGB.

    Raises:
        InputError: fewer than two frames.
        StageError: the program failed or left another result than promised.
    """
    count, height, width = conversion.source.shape[:3]
    if count < 2:
        raise InputError("propainter: needs two frames at least, for the flow between them")
    frames, results = conversion.work / "clip", conversion.work / "results"
    masks = write_inputs(conversion, frames)
    program.run([*_command(frames, masks, results), *_options(settings)], conversion.log)
    painted = read_frames(results / frames.name / "frames", "{:04d}.png", count, padded(height, width), program.name)
    return painted[:, :height, :width]


def write_inputs(conversion: Conversion, frames: Path) -> Path:
    """Write the warped view as ``frames``/00000.png ... and its holes, white on black, beside it.

    Returns:
        The masks' folder.
    """
    from stereozero.baselines.warp_fill import warp_clip

    warped = warp_clip(conversion.source, conversion.disparity, conversion.strength, device=conversion.device)
    view = (warped.frames * 255).round().clamp(0, 255).byte().movedim(1, -1).cpu().numpy()  # (F, H, W, 3)
    holes = warped.blank.cpu().numpy()  # (F, H, W)
    view[holes] = 0
    masks = frames.with_name(f"{frames.name}_mask")
    write_frames(frames, _extended(view, "edge"))
    write_frames(masks, _extended(holes.astype(np.uint8) * 255, "constant"))
    return masks


def padded(height: int, width: int) -> tuple[int, int]:
    """Return the next size that ProPainter works at without resizing: multiples of 8."""
    return tuple(-(-side // _MULTIPLE) * _MULTIPLE for side in (height, width))


def _extended(frames: np.ndarray, mode: str) -> np.ndarray:
    height, width = frames.shape[1:3]
    rows, columns = (new - old for new, old in zip(padded(height, width), (height, width), strict=True))
    return np.pad(frames, [(0, 0), (0, rows), (0, columns), *[(0, 0)] * (frames.ndim - 3)], mode=mode)


def _command(frames: Path, masks: Path, results: Path) -> list[str]:
    # Without --save_frames there is only a lossy video.
    files = ["--video", str(frames), "--mask", str(masks), "--output", str(results)]
    return ["inference_propainter.py", *files, "--save_frames"]


def _options(settings: Settings) -> list[str]:
    names = ("mask_dilation", "ref_stride", "neighbor_length", "subvideo_length", "raft_iter")
    numbers = [text for name in names for text in (f"--{name}", str(getattr(settings, name)))]
    return [*numbers, *(["--fp16"] if settings.fp16 else [])]
