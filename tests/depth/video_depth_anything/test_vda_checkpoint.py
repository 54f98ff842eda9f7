import gzip
import json
from pathlib import Path

import pytest
import torch
from tiny_vda import TINY, tiny_network

from stereozero.depth.video_depth_anything import SIZES, VideoDepthAnythingEstimator, load_official
from stereozero.depth.video_depth_anything.checkpoint import UNUSED, build_on_meta, fill
from stereozero.errors import InputError

FILE = Path(__file__).parents[2] / "golden" / "stereo" / "video_depth_anything_checkpoint.json.gz"
with gzip.open(FILE) as _file:
    OFFICIAL = json.load(_file)["encoders"]


def official_tensors(size: str) -> dict[str, torch.Tensor]:
    return {key: torch.empty(shape, device="meta") for key, shape in OFFICIAL[size]["state_dict"].items()}


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(SIZES, "tiny", TINY)
    return tiny_network()


@pytest.mark.parametrize(("size", "count"), [("vits", 351), ("vitl", 519)])
def test_every_official_key_is_used_at_full_size(size, count):
    official = official_tensors(size)
    assert len(official) == count
    used = {key: tensor for key, tensor in official.items() if not key.startswith(UNUSED)}
    assert len(official) - len(used) == 5
    network = build_on_meta(size)
    fill(network, official, FILE)  # raises if a parameter stays empty or a key is left
    buffers = sum(network.get_buffer(name).numel() for name in OFFICIAL[size]["buffers"])
    unused = sum(tensor.numel() for key, tensor in official.items() if key not in used)
    assert sum(tensor.numel() for tensor in used.values()) + unused - buffers == OFFICIAL[size]["n_params"]


@pytest.mark.parametrize("size", SIZES)
def test_sizes_are_the_official_ones(size):
    official = OFFICIAL[size]
    assert SIZES[size].width == official["embed_dim"]
    assert SIZES[size].blocks == official["n_blocks"]
    assert SIZES[size].heads == official["num_heads"]
    assert list(SIZES[size].taps) == official["intermediate_layers"]
    assert list(SIZES[size].channels) == official["ctor"]["out_channels"]
    assert SIZES[size].features == official["ctor"]["features"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_file_is_read(tiny, tmp_path, dtype):
    path = tmp_path / "tiny.pth"
    unused = {UNUSED[0]: torch.zeros(1, 24), f"{UNUSED[1]}conv1.bias": torch.zeros(32)}
    torch.save({key: value.to(dtype) for key, value in (tiny.state_dict() | unused).items()}, path)
    network = load_official(path, "tiny")
    assert not network.training
    assert all(value.dtype == torch.float32 and not value.requires_grad for value in network.parameters())
    clip = torch.rand(2, 3, 42, 56)
    if dtype == torch.float32:
        assert torch.equal(network(clip), tiny(clip))
    assert VideoDepthAnythingEstimator.from_official(path, "tiny").short_side == 518


def test_all_wrong_keys_are_in_one_message(tiny, tmp_path):
    tensors = tiny.state_dict()
    del tensors["pretrained.norm.weight"]
    tensors["extra"] = torch.zeros(1)
    tensors["head.projects.0.bias"] = torch.zeros(7)
    path = tmp_path / "tiny.pth"
    torch.save(tensors, path)
    with pytest.raises(InputError) as error:
        load_official(path, "tiny")
    assert str(error.value).splitlines() == [
        f"{path} does not fit the model:",
        "  1 missing: pretrained.norm.weight",
        "  1 unexpected: extra",
        "  1 of another shape: head.projects.0.bias [7] instead of [32]",
    ]


def test_the_other_size_is_named(tiny, tmp_path):
    path = tmp_path / "tiny.pth"
    torch.save(tiny.state_dict(), path)
    with pytest.raises(InputError, match=r"tiny\.pth is a tiny checkpoint of Video Depth Anything, expected vits"):
        load_official(path, "vits")
    torch.save({"pretrained.cls_token": torch.zeros(1, 1, 768)}, path)
    with pytest.raises(InputError, match=r"is a checkpoint of another width \(768\) of Video Depth Anything, expected"):
        load_official(path, "vitl")


def test_a_size_with_a_typo():
    with pytest.raises(InputError, match="there is no size 'vit-l'; did you mean 'vitl'"):
        load_official(FILE, "vit-l")


def test_no_file(tmp_path):
    with pytest.raises(InputError, match=r"no checkpoint at .*none\.pth"):
        load_official(tmp_path / "none.pth", "vits")


def test_a_file_that_is_none(tmp_path):
    path = tmp_path / "page.pth"
    path.write_text("<html>")
    with pytest.raises(InputError, match=r"page\.pth \(6 bytes\) is neither a PyTorch checkpoint"):
        load_official(path, "vits")
    torch.save({"weight": torch.zeros(1)}, path)
    with pytest.raises(InputError, match="is no Video Depth Anything checkpoint: it has 1 tensors, the first: weight"):
        load_official(path, "vits")
