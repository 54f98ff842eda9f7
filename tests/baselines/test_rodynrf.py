"""RoDynRF's adapter, against stand-ins for its scripts that check their layout and paint where the camera is."""

import runpy
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from external_programs import conversion, program
from PIL import Image

from stereozero.baselines import rodynrf_cameras
from stereozero.baselines.declaration import check_conversion, check_target
from stereozero.baselines.rodynrf import DECLARATION, Settings, commands, convert
from stereozero.errors import InputError, StageError

PREPARE = """
import argparse, pathlib
import numpy as np
parser = argparse.ArgumentParser()
parser.add_argument("--dataset_path", type=pathlib.Path, required=True)
parser.add_argument("--model")
given = parser.parse_args()
images = sorted((given.dataset_path / "images").glob("*.jpg"))
assert [path.name for path in images] == [f"{number:05d}.jpg" for number in range(len(images))]
folder = given.dataset_path / "{folder}"
folder.mkdir()
for path in images:
    np.save(folder / path.with_suffix(".npy").name, np.ones((2, 2), np.float32))
"""
TRAIN = """
import argparse, pathlib
import numpy as np, torch
from PIL import Image
parser = argparse.ArgumentParser()
for name in ("config", "datadir", "basedir", "expname", "ckpt"):
    parser.add_argument(f"--{name}")
for name in ("N_voxel_t", "n_iters", "render_only", "render_test", "render_path"):
    parser.add_argument(f"--{name}", type=int, default=0)
parser.add_argument("--downsample_train", type=float)
given = parser.parse_args()
scene, folder = pathlib.Path(given.datadir), pathlib.Path(given.basedir) / given.expname
for needed in ("dpt", "flow", "epipolar_error_png"):
    assert (scene / needed).is_dir(), needed
height, width = np.array(Image.open(scene / "images" / "00000.jpg")).shape[:2]
if given.render_only:
    # The released code puts the experiment's name below the experiment's folder when it only renders.
    target = folder / given.expname / "imgs_test_all"
    poses = torch.load(given.ckpt, weights_only=False)["kwargs"]["se3_poses"]
    assert torch.equal(poses, torch.load(given.ckpt[:-3] + "_static.th", weights_only=False)["kwargs"]["se3_poses"])
else:
    target = folder / "imgs_test_all"
    poses = torch.eye(4)[:3].repeat(given.N_voxel_t, 1, 1)
    folder.mkdir(parents=True)
    for part in ("", "_static"):
        checkpoint = {"kwargs": {"se3_poses": poses, "focal_ratio_refine": torch.tensor(50.0)}, "state_dict": {}}
        torch.save(checkpoint, folder / f"{given.expname}{part}.th")
(target / "rgbd").mkdir(parents=True)
for number, pose in enumerate(poses):
    np.save(target / "rgbd" / f"{number:03d}.npy", np.full((height, width), -0.5, np.float32))  # depth 2
    grey = 128 + round(100 * float(pose[0, 3]))
    {change}
    Image.new("RGB", (width, height), (grey,) * 3).save(target / f"{number:03d}.png")
"""


def field(tmp_path, change: str = "pass"):
    """Return a program that paints 100 times the camera's place."""
    scripts = {"DPT": "dpt", "flow": "flow", "mask": "epipolar_error_png"}
    files = {f"scripts/generate_{name}.py": PREPARE.replace("{folder}", folder) for name, folder in scripts.items()}
    return program(tmp_path / "code", files | {"train.py": TRAIN.replace("{change}", change)}, "rodynrf")


@pytest.fixture
def radiance_field(tmp_path):
    return field(tmp_path)


def test_the_other_eye_is_where_the_nearest_surface_moves_by_the_strength(tmp_path, radiance_field):
    clip = conversion(tmp_path, strength=10.0)  # 4 of 40 columns = 50 px focal length x b / depth 2: b = 0.16
    target = check_target(convert(clip, radiance_field, Settings(given_depth=True)), clip, DECLARATION)
    assert (target == 128 + 16).all()


def test_the_nearest_surface_sets_the_distance_between_the_eyes():
    inverse_depth = np.concatenate([np.full(97, 0.1), np.full(3, 0.5)])
    assert rodynrf_cameras.baseline(inverse_depth, focal=50.0, width=40, strength=10.0) == pytest.approx(0.16)
    assert rodynrf_cameras.baseline(inverse_depth, focal=50.0, width=40, strength=-10.0) == pytest.approx(-0.16)


def test_the_given_depth_replaces_dpt(tmp_path):
    clip = conversion(tmp_path)
    scripts = [call[0] for call in commands(clip, tmp_path, tmp_path, Settings(given_depth=True))]
    assert "scripts/generate_DPT.py" not in scripts
    assert commands(clip, tmp_path, tmp_path, Settings())[0][0] == "scripts/generate_DPT.py"


def test_a_missing_checkpoint_is_a_failure_of_the_program(tmp_path, radiance_field):
    (radiance_field.checkout / "train.py").write_text("")
    with pytest.raises(StageError, match="rodynrf: failed with status 1"):
        convert(conversion(tmp_path), radiance_field, Settings())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("if given.render_only and number == 2: break", "left 2 frames of a clip with 4"),
        ("if given.render_only: width = 38", r"has \(24, 38\) rows and columns, not \(24, 40\)"),
        ("if given.render_only: continue", "ended without an error, but left no frames in"),
    ],
)
def test_what_it_leaves_is_checked(tmp_path, change, message):
    with pytest.raises(StageError, match=f"rodynrf: .*{message}"):
        convert(conversion(tmp_path), field(tmp_path, change), Settings(given_depth=True))


def test_bad_input_is_refused(tmp_path, radiance_field):
    with pytest.raises(InputError, match="three frames"):
        convert(conversion(tmp_path, frames=2), radiance_field, Settings())
    with pytest.raises(InputError, match="iterations is 44000"):
        Settings(iterations=44_000)
    with pytest.raises(InputError, match="CUDA device only"):
        check_conversion(conversion(tmp_path), DECLARATION)
    clip = conversion(tmp_path)
    with pytest.raises(InputError, match=r"disparity has shape \(1, 24, 40\)"):
        check_conversion(replace(clip, disparity=clip.disparity[:1]), DECLARATION)


def test_cameras_move_along_their_own_axis():
    quarter_turn = torch.tensor([[0.0, 0, 1, 5], [0, 1, 0, 6], [-1, 0, 0, 7]])  # its x axis is the world's -z
    moved = rodynrf_cameras.move(quarter_turn[None], 2.0)
    assert torch.equal(moved[0, :, 3], torch.tensor([5.0, 6, 5]))
    assert torch.equal(moved[0, :, :3], quarter_turn[:, :3])


def test_the_camera_script_needs_nothing_of_this_package():
    imported = runpy.run_path(rodynrf_cameras.__file__).values()
    modules = {getattr(value, "__name__", "") for value in imported if type(value) is type(sys)}
    assert not any(name.startswith("stereozero") for name in modules)


def test_pictures_are_almost_lossless(tmp_path, radiance_field):
    from stereozero.baselines.rodynrf import write_inputs

    clip = conversion(tmp_path)
    write_inputs(clip, tmp_path / "scene", Settings())
    first = np.array(Image.open(tmp_path / "scene" / "images" / "00000.jpg")).astype(int)
    assert np.abs(first - clip.source[0]).mean() < 1.5
