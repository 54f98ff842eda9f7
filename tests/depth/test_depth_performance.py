"""The performance script of the depth estimators: real sizes, counted evaluations, and what it prints."""

import importlib.util
import json
import runpy
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from stereozero.depth.depthcrafter import DepthCrafterSettings
from stereozero.published_models import REGISTRY

SCRIPT = Path(__file__).parents[2] / "benchmark" / "performance" / "depth.py"
SVD = ("depthcrafter-unet", "svd-xt-vae", "svd-xt-image-encoder")


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("depth_performance", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_prints_a_line_for_the_lightest_estimator(monkeypatch, capsys):
    size = ["--frames", "3", "--height", "32", "--width", "48"]
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--estimators", "dis", "--device", "cpu", "--threads", "1", *size])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    line = json.loads(capsys.readouterr().out)
    parts = line.pop("parts")
    assert {name: part["times"] for name, part in parts.items()} == {"flow": 1, "propagate": 1}
    assert line.pop("seconds") == pytest.approx(sum(part["seconds"] for part in parts.values()))
    assert line.pop("cpu_seconds") == pytest.approx(2 * line.pop("cpu_seconds_per_frame"))  # three frames, two pairs
    assert line.pop("seconds_per_frame") > 0
    assert line.pop("peak_memory_mib") > 50
    assert line == {
        "name": "dis",
        "parameters": 0,
        "frames": 3,
        "height": 32,
        "width": 48,
        "device": "cpu",
        "dtype": "fp32",
        "threads": 1,
    }


@pytest.mark.parametrize(
    ("name", "published", "parameter_bytes"),
    [
        ("depthcrafter", SVD, 2),
        ("depth-pro", ("depth-pro",), 2),
        ("depth-anything-v1-large", ("depth-anything-v1-large",), 4),
        ("depth-anything-v2-small", ("depth-anything-v2-small",), 4),
        ("depth-anything-v2-base", ("depth-anything-v2-base",), 4),
        ("depth-anything-v2-large", ("depth-anything-v2-large",), 4),
        ("video-depth-anything-vits", ("video-depth-anything-vits",), 4),
        ("video-depth-anything-vitl", ("video-depth-anything-vitl",), 4),
    ],
)
def test_networks_have_the_size_of_the_published_weights(script, name, published, parameter_bytes):
    work = script.CASES[name].prepare(torch.rand(2, 3, 64, 64), "fp32", "meta")
    gigabytes = sum(REGISTRY[file].gigabytes for file in published)
    assert script.parameters(work.networks) * parameter_bytes / 1e9 == pytest.approx(gigabytes, rel=0.04)


@pytest.mark.parametrize("guidance", [1.0, 1.2])
def test_counts_the_evaluations_that_depthcrafter_makes(script, golden_model, guidance):
    settings = replace(DepthCrafterSettings(), steps=2, guidance=guidance, window=3, overlap=1)
    noise = golden_model.draw_noise(5, 32, 32, settings)
    condition = golden_model.encode(torch.rand(5, 3, 32, 32), noise.augmentation, settings)
    calls = []
    hook = golden_model.networks.unet.register_forward_pre_hook(lambda *_: calls.append(1))
    golden_model.sample(condition, noise.initial, settings)
    hook.remove()
    assert script.evaluations(5, settings) == len(calls)


def test_weights_are_made_in_their_dtype_and_positions_stay_whole(script):
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    config = CLIPVisionConfig(
        hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, image_size=8, patch_size=4
    )
    network = script.random_network(lambda: CLIPVisionModelWithProjection(config), "bf16", "cpu")
    assert {parameter.dtype for parameter in network.parameters()} == {torch.bfloat16}
    assert network(torch.rand(1, 3, 8, 8).bfloat16()).image_embeds.isfinite().all()
    assert network.vision_model.embeddings.position_ids.tolist() == [[0, 1, 2, 3, 4]]
