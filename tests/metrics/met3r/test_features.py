"""Features: what official files hold, torch.hub from a local folder, and what goes wrong."""

from pathlib import Path

import pytest
import torch
from met3r_goldens import read_keys

import stereozero.metrics.met3r.hub
from stereozero.errors import InputError
from stereozero.metrics.met3r.featup import JbuStack
from stereozero.metrics.met3r.features import PatchFeatures, load_dino16, load_featup, load_from_hub
from stereozero.vision_transformer import DINO_VITS16, DINOV2, VisionTransformer, VitConfig

HUB = str(Path(stereozero.metrics.met3r.hub.__file__).parent)
TINY = VitConfig(image_size=32, patch_size=8, width=16, depth=1, heads=2)


def shapes(module: torch.nn.Module, prefix: str) -> dict[str, list[int]]:
    return {f"{prefix}{key}": list(value.shape) for key, value in module.state_dict().items()}


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize(("name", "config"), [("dino16", DINO_VITS16), ("dinov2", DINOV2["dinov2_vits14"])])
def test_featup_checkpoints_have_the_official_keys(name, config, norm):
    backbone = "model.0.model." if norm else "model.model."
    keys = shapes(VisionTransformer(config), backbone) | shapes(JbuStack(384), "upsampler.")
    if norm:
        keys |= shapes(torch.nn.LayerNorm(384), "model.1.norm.")
    official = read_keys("featup_checkpoint_keys")[f"{name}.use_norm={norm}"]
    assert keys == {key: shape for key, (shape, _) in official.items()}


def test_featup_is_read_from_a_checkpoint_with_leftovers(tmp_path):
    stack, norm = JbuStack(16), torch.nn.LayerNorm(16)
    state = {f"upsampler.{key}": value for key, value in stack.state_dict().items()}
    state |= {f"model.1.norm.{key}": value + 1 for key, value in norm.state_dict().items()}
    state |= {"scale_net.net.weight": torch.zeros(2), "downsampler.weight": torch.zeros(2)}
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "tiny.ckpt")
    read, read_norm = load_featup(tmp_path / "tiny.ckpt", 16)
    assert all(torch.equal(value, stack.state_dict()[key]) for key, value in read.state_dict().items())
    assert torch.equal(read_norm.bias, norm.bias + 1)
    del state["upsampler.up2.range_temp"]
    torch.save({"state_dict": state}, tmp_path / "tiny.ckpt")
    with pytest.raises(InputError, match=r"1 missing: upsampler.up2.range_temp"):
        load_featup(tmp_path / "tiny.ckpt", 16)


def test_dino_is_read_strictly(tmp_path):
    state = VisionTransformer(DINO_VITS16).state_dict()
    torch.save(state, tmp_path / "dino.pth")
    assert load_dino16(tmp_path / "dino.pth").patch_size == 16
    torch.save(state | {"head.weight": torch.zeros(1)}, tmp_path / "dino.pth")
    with pytest.raises(InputError, match=r"1 unexpected: head.weight"):
        load_dino16(tmp_path / "dino.pth")


def test_torch_hub_loads_the_local_folder(tmp_path):
    network = load_from_hub(HUB, "dinov2_vits14", _saved(tmp_path, DINOV2["dinov2_vits14"]))
    features = PatchFeatures(network)
    assert features.patch_size == 14
    assert features(torch.rand(2, 3, 28, 42)).shape == (2, 384, 2, 3)


def _saved(folder: Path, config: VitConfig) -> Path:
    torch.save(VisionTransformer(config).state_dict(), folder / "weights.pth")
    return folder / "weights.pth"


def test_features_lie_where_their_patches_do():
    features = PatchFeatures(VisionTransformer(TINY))
    torch.nn.init.normal_(features.network.patch_embed.proj.weight)
    image = torch.zeros(1, 3, 16, 32)
    changed = image.clone()
    changed[..., 8:, 16:24] = 1
    difference = (features(changed) - features(image)).norm(dim=1)[0]  # (2, 4)
    assert difference.argmax() == 1 * 4 + 2


def test_what_the_hub_can_not_give_is_explained(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"can't load dinov2_vits14 of .*hubconf.py"):
        load_from_hub(str(tmp_path), "dinov2_vits14")
    with pytest.raises(InputError, match=r"can't load dinov3 of .*RuntimeError: Cannot find callable dinov3"):
        load_from_hub(HUB, "dinov3")
    with pytest.raises(InputError, match="there is no folder models/dinov2; a repository on GitHub is named"):
        load_from_hub("models/dinov2", "dinov2")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_get_cache_or_reload", _offline)
    with pytest.raises(InputError, match=r"bring torch.hub's folder here .*hub") as caught:
        load_from_hub("facebookresearch/dinov2:0123456", "dinov2_vits14")
    command = "torch.hub.list('facebookresearch/dinov2:0123456', trust_repo=True, skip_validation=True)"
    assert f"Where there is a network, run 'python -c \"import torch; {command}\"' once" in str(caught.value)
    assert "set scoring.met3r.hub to src/stereozero/metrics/met3r/hub" in str(caught.value)


def _offline(*_, **__):
    raise OSError("no route to host")


def test_weights_of_another_network_are_refused(tmp_path):
    with pytest.raises(InputError, match="of another shape"):
        load_from_hub(HUB, "dinov2_vits14", _saved(tmp_path, TINY))
