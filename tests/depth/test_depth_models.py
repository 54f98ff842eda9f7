"""Networks of depth variants: their files, what is missing of them, and loading."""

from pathlib import Path

import pytest
import torch
from tiny_depth_models import tiny_depth_anything, tiny_depth_pro

from stereozero.config import parse_config
from stereozero.depth.depth_anything import DepthAnythingEstimator
from stereozero.depth.depth_pro import DepthProEstimator
from stereozero.depth.models import estimate_settings, less_memory, load_estimator, local_files, missing_files
from stereozero.depth.video_depth_anything import VideoDepthAnythingEstimator


def settings(**variant):
    return parse_config({"run": "r", "manifest": "m", "depths": {"d": variant}}, "config.yaml").depths["d"]


@pytest.fixture(scope="module")
def crafter_folder(golden_model, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("depthcrafter")
    golden_model.save_pretrained(folder)
    (folder / "README.md").write_text("not read")
    return folder


@pytest.fixture
def published_pair(crafter_folder, tmp_path) -> tuple[Path, Path]:
    """Return folders laid out as tencent/DepthCrafter and stabilityai/stable-video-diffusion-img2vid-xt."""
    (tmp_path / "svd").mkdir()
    for name in ("vae", "image_encoder", "scheduler"):
        (tmp_path / "svd" / name).symlink_to(crafter_folder / name)
    (tmp_path / "svd" / "unet").mkdir()  # SVD's own, of 3 GB
    (tmp_path / "svd" / "unet" / "diffusion_pytorch_model.safetensors").touch()
    (tmp_path / "unet").symlink_to(crafter_folder / "unet")
    return tmp_path / "unet", tmp_path / "svd"


def test_local_files_are_those_that_are_read(crafter_folder, published_pair):
    files = local_files(settings(estimator="depthcrafter", folder=str(crafter_folder)))
    assert {name.split("/")[1] for name in files} == {"unet", "vae", "image_encoder", "scheduler"}
    assert len(files) == 7
    assert all(path.is_file() for path in files.values())
    unet, svd = published_pair
    files = local_files(settings(estimator="depthcrafter", unet=str(unet), svd=str(svd)))
    assert len(files) == 7
    assert "unet/diffusion_pytorch_model.safetensors" in files
    assert not any(name.startswith("svd/unet") for name in files)
    assert local_files(settings(estimator="depthcrafter")) == {}


def test_names_of_copies_and_memory_settings_are_in_no_key(tmp_path):
    plain, other = (
        settings(estimator="depth-pro", folder=str(tmp_path / name), frames_at_once=count)
        for name, count in (("a", 1), ("b", 8))
    )
    assert estimate_settings(plain) == estimate_settings(other) == {"estimator": "depth-pro", "dtype": "fp32"}
    assert "frames_at_once" in estimate_settings(settings(estimator="depthcrafter"))  # another decoding


def test_the_published_pair_and_a_saved_folder_are_one_model(crafter_folder, published_pair):
    unet, svd = published_pair
    pair = settings(estimator="depthcrafter", unet=str(unet), svd=str(svd), steps=3)
    fetched = {
        "depthcrafter-unet": unet / "diffusion_pytorch_model.safetensors",
        "svd-xt-vae": svd / "vae" / "diffusion_pytorch_model.fp16.safetensors",
    }
    one = load_estimator(pair, "cpu", {})
    two = load_estimator(settings(estimator="depthcrafter", steps=3), "cpu", fetched)
    three = load_estimator(settings(estimator="depthcrafter", folder=str(crafter_folder), steps=3), "cpu", {})
    video = torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    first = one.estimate(video).values
    for other in (two, three):
        assert other.settings == one.settings
        torch.testing.assert_close(other.estimate(video).values, first, rtol=0, atol=1e-6)
    assert one.settings.steps == 3


def test_image_models_from_folders_and_fetched(tmp_path):
    tiny_depth_pro().save_pretrained(tmp_path / "pro")
    tiny_depth_anything().save_pretrained(tmp_path / "anything")
    pro = load_estimator(
        settings(estimator="depth-pro", frames_at_once=3), "cpu", {"depth-pro": tmp_path / "pro" / "m"}
    )
    assert isinstance(pro, DepthProEstimator)
    assert pro.frames_at_once == 3
    folder = str(tmp_path / "anything")
    anything = load_estimator(settings(estimator="depth-anything", folder=folder, dtype="bf16"), "cpu", {})
    assert isinstance(anything, DepthAnythingEstimator)
    assert anything.network.dtype == torch.bfloat16


def test_video_depth_anything(monkeypatch):
    calls = []
    monkeypatch.setattr(
        "stereozero.depth.video_depth_anything.estimator.load_official",
        lambda path, size, device: calls.append((path, size, device)),
    )
    variant = {"estimator": "video-depth-anything", "variant": "vits", "short_side": 280}
    fetched = {"video-depth-anything-vits": Path("fetched.pth")}
    estimator = load_estimator(settings(**variant), "cpu", fetched)
    load_estimator(settings(**variant, checkpoint="mine.pth"), "cpu", {})
    assert calls == [(Path("fetched.pth"), "vits", "cpu"), ("mine.pth", "vits", "cpu")]
    assert isinstance(estimator, VideoDepthAnythingEstimator)
    assert estimator.short_side == 280


def test_what_is_missing_is_named_with_its_key(tmp_path, crafter_folder):
    (tmp_path / "empty").mkdir()
    empty, nowhere = str(tmp_path / "empty"), str(tmp_path / "nowhere")
    depths = {
        "good": settings(estimator="depthcrafter", folder=str(crafter_folder)),
        "fetched": settings(estimator="depth-pro"),
        "crafter": settings(estimator="depthcrafter", folder=empty),
        "pair": settings(estimator="depthcrafter", unet=nowhere, svd=empty),
        "pro": settings(estimator="depth-pro", folder=empty),
        "video": settings(estimator="video-depth-anything", variant="vitl", checkpoint=nowhere),
        "world": settings(estimator="world"),
    }
    parts = "vae/config.json and no image_encoder/config.json and no scheduler/scheduler_config.json"
    assert list(missing_files(depths)) == [
        f"depths.crafter.folder: {empty} has no unet/config.json and no {parts}; copy the model again",
        f"depths.pair.unet: there is no {nowhere}",
        f"depths.pair.svd: {empty} has no {parts}; copy the model again",
        f"depths.pro.folder: {empty} has no config.json; copy the model again",
        f"depths.video.checkpoint: there is no {nowhere}",
    ]


def test_what_takes_less_memory():
    crafter = settings(estimator="depthcrafter")
    assert less_memory(crafter, "the GPU") == (
        "set 'dtype: bf16', 'frames_at_once: 1', a smaller 'window' for this depth variant"
    )
    frugal = settings(estimator="depth-pro", dtype="fp16")
    assert less_memory(frugal, "the GPU") == "take a smaller network, or more of the GPU"
