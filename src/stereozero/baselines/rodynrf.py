"""RoDynRF as a baseline: a radiance field is fitted to each clip and rendered for the other eye.

Liu et al., Robust Dynamic Radiance Fields, CVPR 2023, arXiv 2301.02239. What was read, in facebookresearch/robust-dynrf
at the pinned commit: README.md, train.py, renderer.py, opt.py, dataLoader/davis.py, configs/DAVIS.txt and scripts/*.
Not found: how the StereoCrafter-Zero paper rendered the other eye. The released code has no stereo path, but renders
every frame from the poses in its checkpoints, so here these are moved; see :mod:`stereozero.baselines.rodynrf_cameras`.

The packages are those of its README (and torch_efficient_distloss, which train.py imports and the README leaves out) in
versions of its time; Pillow stays below 10, because scripts/generate_mask.py uses a name that went away there.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stereozero.baselines import rodynrf_cameras
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

_DPT, _RAFT = "weights/dpt_large-midas-2f21e586.pt", "weights/raft-things.pth"
_LAST_UPSAMPLING = 22_000  # iteration; configs/DAVIS.txt
_RUN, _OTHER_EYE = "clip", "other_eye"  # names of the training and of the second rendering

DECLARATION = Declaration(
    name="rodynrf",
    paper="Liu, Gao, Meuleman, Tseng, Saraf, Kim, Chuang, Kopf, Huang: Robust Dynamic Radiance Fields, CVPR 2023, "
    "arXiv 2301.02239",
    licence="RoDynRF's code is under the MIT licence; it uses weights of DPT and RAFT, which have their own",
    limits="three frames at least; fits a field to each clip for hours. Its depth is its own, so of the disparity only "
    "the strength is used: its nearest surface (99th percentile) is shifted by it, and infinity by nothing",
    source=Source(
        "https://github.com/facebookresearch/robust-dynrf.git",
        "6712571e1d2172bec31289e606fb397ca77ca3e6",
        submodules=True,
    ),
    environment=EnvironmentRecipe(
        python="3.8",
        packages=(
            "torch==2.0.1",
            "torchvision==0.15.2",
            "configargparse==1.7",
            "easydict==1.13",
            "imageio==2.31.1",
            "imageio-ffmpeg==0.4.8",
            "kornia==0.6.12",
            "lpips==0.1.4",
            "matplotlib==3.7.2",
            "numpy==1.23.5",
            "opencv-python-headless==4.7.0.72",
            "pillow==9.5.0",
            "plyfile==0.9",
            "scikit-image==0.20.0",
            "scipy==1.9.1",
            "tensorboard==2.13.0",
            "timm==0.6.13",
            "torch_efficient_distloss==0.1.3",
            "tqdm==4.65.0",
        ),
    ),
    weights=(
        WeightFile(_DPT, "https://github.com/intel-isl/DPT/releases/download/1_0/dpt_large-midas-2f21e586.pt", None),
        WeightFile(
            _RAFT,
            "https://github.com/sczhou/ProPainter/releases/download/v0.1.0/raft-things.pth",
            "fcfa4125d6418f4de95d84aec20a3c5f4e205101715a79f193243c186ac9a7e1",
        ),
    ),
    published=Published("", "", "shown in Figure 7 of the paper only"),
    timeout_minutes=24 * 60,
    needs_cuda=True,
)


@dataclass(frozen=True)
class Settings:
    """What the released DAVIS configuration leaves to the clip.

    Attributes:
        iterations: of the training; the released configurations have 100 000. Its learning rate is undefined for
            44 001 or fewer.
        given_depth: use this pipeline's disparity as its monocular depth instead of running DPT.
    """

    iterations: int = 100_000
    given_depth: bool = False

    def __post_init__(self):
        if self.iterations // 2 <= _LAST_UPSAMPLING:
            raise InputError(
                f"rodynrf: iterations is {self.iterations}; more than {2 * _LAST_UPSAMPLING + 1} are needed"
            )


def convert(conversion: Conversion, program: Program, settings: Settings) -> np.ndarray:
    """Fit a field to the clip and render it for the other eye: (F, H, W, 3) uint8 RGB.

    Raises:
        InputError: fewer than three frames.
        StageError: the program failed or left another result than promised.
    """
    count, height, width = conversion.source.shape[:3]
    if count < 3:
        raise InputError("rodynrf: needs three frames at least, with a neighbour on each side")
    scene, results = conversion.work / "scene", conversion.work / "log"
    write_inputs(conversion, scene, settings)
    for command in commands(conversion, scene, results, settings):
        program.run(command, conversion.log)
    rendered = results / _OTHER_EYE / _OTHER_EYE / "imgs_test_all"
    return read_frames(rendered, "{:03d}.png", count, (height, width), program.name)


def write_inputs(conversion: Conversion, scene: Path, settings: Settings) -> None:
    """Write the clip as ``images/00000.jpg`` ... (its scripts take no other suffix) and, if wanted, its disparity."""
    write_frames(scene / "images", conversion.source, ".jpg", quality=100, subsampling=0)
    if settings.given_depth:
        (scene / "dpt").mkdir()
        for number, disparity in enumerate(conversion.disparity):
            np.save(scene / "dpt" / f"{number:05d}.npy", disparity.astype(np.float32))


def commands(conversion: Conversion, scene: Path, results: Path, settings: Settings) -> list[list[str]]:
    """Return the calls, in order: preparation, training, rendering from the own and from the other eye's cameras."""
    dataset = ["--dataset_path", str(scene)]
    depth = [] if settings.given_depth else [["scripts/generate_DPT.py", *dataset, "--model", _DPT]]
    prepare = [*depth, ["scripts/generate_flow.py", *dataset, "--model", _RAFT], ["scripts/generate_mask.py", *dataset]]
    options = ["--datadir", str(scene), "--basedir", str(results), "--downsample_train", "1.0"]
    train = ["train.py", "--config", "configs/DAVIS.txt", *options, "--N_voxel_t", str(len(conversion.source))]
    length = ["--n_iters", str(settings.iterations), "--render_test", "0", "--render_path", "0"]
    own, other = results / _RUN / _RUN, results / _RUN / _OTHER_EYE
    move = [
        *[str(Path(rodynrf_cameras.__file__).resolve()), "--checkpoint", str(own), "--to", str(other)],
        *["--depths", str(results / _RUN / "imgs_test_all" / "rgbd"), f"--strength={conversion.strength}"],
    ]
    # The training ends with a rendering from its own cameras, with depth; rendering puts <expname> below the basedir's.
    render = ["--expname", _OTHER_EYE, "--ckpt", f"{other}.th", "--render_only", "1", "--render_test", "1"]
    return [*prepare, [*train, "--expname", _RUN, *length], move, [*train, *render, "--render_path", "0"]]
