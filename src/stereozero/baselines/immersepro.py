"""ImmersePro as a baseline: mono to stereo video with implicit disparity (Shi, Li, Wonka, arXiv 2410.00262).

What was read, in shijianjian/ImmersePro at the pinned commit: README.md, inference_video.py (command line),
core/inference.py (sizes, borders, results), configs/inference.json, model/immersepro_model.py. What could not be found
there: a licence, a list of packages, checksums of the weights. The packages below are those the code imports, in
versions of its time. Later versions of the README say that model files and weights were replaced by "the correct
version", and add weights with a Depth Anything branch; the commits of these could not be found. If the published
weights no longer fit the pinned code, the program says so when it loads them, and the pin has to be moved.

It works at 384 x 384 whatever comes in, and cuts 5 columns off both sides of both views before it brings them back to
the input's size: its views show 374 of 384 columns, enlarged. This is undone here by resampling; of the columns that
were cut off, the nearest that is left stands in. It takes no disparity and no strength: its disparity is its own.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
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
from stereozero.errors import StageError
from stereozero.video import read_video, write_mp4

WORKING_WIDTH, BORDER = 384, 5  # columns, at the program's own size
_CRF = 2  # nearly lossless: the program's own encoding loses far more
_HUB = "https://huggingface.co/shijianjian/ImmersePro"

DECLARATION = Declaration(
    name="immersepro",
    paper="Shi, Li, Wonka: ImmersePro: End-to-End Stereo Video Synthesis Via Implicit Disparity Learning, "
    "arXiv 2410.00262",
    licence="no licence was found in ImmersePro's repository: without one, all rights are reserved; ask its authors "
    "before you use it for more than comparing",
    limits="fetches Intel/dpt-hybrid-midas from the hub when it is first run. Makes right views; for left ones it gets "
    "the mirrored clip. Odd sizes are extended by a row or column. Its own strength, from its own disparity; 5 of 384 "
    "columns at each side are lost and repeat their neighbour",
    source=Source(
        "https://github.com/shijianjian/ImmersePro.git", "1914fda2b1aca44f2247c99c97bba01d5cb70074", submodules=True
    ),
    environment=EnvironmentRecipe(
        python="3.10",
        packages=(
            "torch==2.1.2",
            "torchvision==0.16.2",
            "av==12.3.0",
            "einops==0.8.1",
            "imageio-ffmpeg==0.5.1",
            "kornia==0.7.1",
            "matplotlib==3.9.4",
            "numpy==1.26.4",
            "opencv-python-headless==4.10.0.84",
            "scikit-image==0.24.0",
            "scipy==1.11.4",
            "tensorboard==2.15.2",
            "timm==0.6.13",
            "tqdm==4.67.1",
            "transformers==4.36.2",
        ),
    ),
    weights=(WeightFile("experiments_model/immersepro_model_inference/gen_030000.pth", _HUB, None),),
    published=Published(
        "table1", "immersepro", "40 clips of DynamiCrafter; whether its border was undone is not stated"
    ),
    needs_cuda=True,
)


@dataclass(frozen=True)
class Settings:
    """The program's own options.

    Attributes:
        config: its configuration file, in the checkout.
    """

    config: str = "configs/inference.json"


def convert(conversion: Conversion, program: Program, settings: Settings) -> np.ndarray:
    """Let ImmersePro make the target view: (F, H, W, 3) uint8 RGB.

    Raises:
        StageError: the program failed or left another result than promised.
    """
    count, height, width = conversion.source.shape[:3]
    inputs, outputs = conversion.work / "inputs", conversion.work / "outputs"
    size = write_inputs(conversion, inputs)
    outputs.mkdir()
    folders = ["--input_dir", str(inputs), "--output_dir", str(outputs)]
    program.run(["inference_video.py", "-c", settings.config, *folders, "--no_anaglyph"], conversion.log)
    right = read_right_view(outputs / "clip_input_immersepro_sbs.mp4", (count, *size), program.name)
    target = restore_border(right)[:, :height, :width]
    return target if conversion.strength > 0 else np.ascontiguousarray(target[:, :, ::-1])


def write_inputs(conversion: Conversion, folder: Path) -> tuple[int, int]:
    """Write the source view as ``clip_input.mp4``, mirrored if the target is the left view.

    Returns:
        The video's height and width, which are even.
    """
    source = conversion.source if conversion.strength > 0 else conversion.source[:, :, ::-1]
    odd = [(0, side % 2) for side in source.shape[1:3]]
    even = np.pad(source, [(0, 0), *odd, (0, 0)], mode="edge")
    folder.mkdir()
    write_mp4(folder / "clip_input.mp4", even, conversion.fps, crf=_CRF)
    return even.shape[1], even.shape[2]


def read_right_view(path: Path, shape: tuple[int, int, int], program: str) -> np.ndarray:
    """Return the right half of the program's side-by-side video.

    Args:
        path: the video.
        shape: (F, H, W) of one view.
        program: for messages.

    Raises:
        StageError: the video is missing or of another size or length.
    """
    if not path.is_file():
        raise StageError(f"{program}: ended without an error, but left no {path}")
    frames = read_video(path).frames  # (F, H, 2 W, 3)
    count, height, width = shape
    if frames.shape[:3] != (count, height, 2 * width):
        raise StageError(f"{program}: {path} has shape {frames.shape[:3]}, not {(count, height, 2 * width)}")
    return frames[:, :, width:]


def restore_border(view: np.ndarray) -> np.ndarray:
    """Bring a view from which the program cut its borders back to the input's geometry.

    Args:
        view: (F, H, W, 3) uint8, columns ``BORDER`` ... ``WORKING_WIDTH`` - ``BORDER`` of the working width.

    Returns:
        (F, H, W, 3) uint8; columns that were cut off repeat the nearest one.
    """
    height, width = view.shape[1:3]
    working = (np.arange(width, dtype=np.float32) + 0.5) / width * WORKING_WIDTH  # (W,)
    columns = (working - BORDER) / (WORKING_WIDTH - 2 * BORDER) * width - 0.5  # (W,)
    across = np.broadcast_to(columns.astype(np.float32), (height, width)).copy()
    down = np.broadcast_to(np.arange(height, dtype=np.float32)[:, None], (height, width)).copy()
    restored = [cv2.remap(frame, across, down, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE) for frame in view]
    return np.stack(restored)
