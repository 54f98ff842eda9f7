"""Reading the official DUSt3R and MASt3R checkpoints."""

from argparse import Namespace
from pathlib import Path

import pytest
import torch
from met3r_goldens import read_keys
from safetensors.torch import save_file
from tiny_geometry import CLASSES, official_tensors, tiny_config, tiny_network

from stereozero.errors import InputError
from stereozero.metrics.met3r.checkpoint import UNUSED, by_parameter, fill, identify, load_official, read_tensors
from stereozero.metrics.met3r.dust3r import Dust3r, Dust3rConfig
from stereozero.metrics.met3r.mast3r import Mast3r

ANY = Path("model.pth")


@pytest.fixture(scope="module")
def tensors():
    return official_tensors("dust3r")


def full_size_tensors(name):
    shapes = read_keys(f"{name}_checkpoint")["state_dict"]
    return {key: torch.empty(shape, device="meta") for key, (shape, _) in shapes.items()}


def write(path, tensors, kind):
    if kind == "pth":
        torch.save({"model": tensors, "args": Namespace(model="AsymmetricCroCo3DStereo()", lr=1e-4)}, path)
    elif kind == "bare":
        torch.save(tensors, path)
    else:
        save_file({key: value for key, value in tensors.items() if "layer_rn" not in key}, path)
    return path


def on_meta():
    return Dust3r.on_meta(tiny_config("dust3r"))


@pytest.mark.parametrize(("name", "count"), [("dust3r", 571_171_208), ("mast3r", 688_638_856)])
def test_every_official_key_is_used_at_full_size(name, count):
    facts, tensors = read_keys(f"{name}_checkpoint"), full_size_tensors(name)
    network = CLASSES[name].on_meta()
    named = by_parameter(tensors, ANY)
    fill(network, tensors, ANY, device="meta")  # raises if a parameter stays empty or a key is left
    assert len(named) == facts["n_keys"] - facts["n_aliases"] - len(UNUSED)
    unused = sum(tensors[key].numel() for key in UNUSED)
    assert sum(parameter.numel() for parameter in network.parameters()) + unused == count


@pytest.mark.parametrize("name", ["dust3r", "mast3r"])
def test_sizes_are_those_of_the_published_constructor(name):
    arguments, config = read_keys(f"{name}_checkpoint")["ctor_args_at_inference"], Dust3rConfig()
    sizes = ("embed_dim", "depth", "num_heads")
    assert [arguments[f"enc_{size}"] for size in sizes] == [
        config.encoder_dim,
        config.encoder_depth,
        config.encoder_heads,
    ]
    assert [arguments[f"dec_{size}"] for size in sizes] == [
        config.decoder_dim,
        config.decoder_depth,
        config.decoder_heads,
    ]
    assert arguments["landscape_only"] == config.landscape_only


@pytest.mark.parametrize("kind", ["pth", "bare", "safetensors"])
def test_a_file_of_each_format_is_read(tmp_path, tensors, kind):
    path = write(tmp_path / "model", tensors, kind)
    network = on_meta()
    fill(network, read_tensors(path), path, device="cpu")
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    expected = tiny_network("dust3r").state_dict()
    assert network.state_dict().keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in network.state_dict().items())


def test_the_second_key_of_a_tensor_will_do(tensors):
    renamed = {key: value for key, value in tensors.items() if "_rn.weight" not in key}
    assert len(renamed) == len(tensors) - 8
    network = on_meta()
    fill(network, renamed, ANY, device="cpu")
    expected = tensors["downstream_head2.dpt.scratch.layer3_rn.weight"]
    assert torch.equal(network.downstream_head2.dpt.scratch.layer3_rn.weight, expected)


def test_two_keys_of_one_tensor_must_agree(tensors):
    key = "downstream_head1.dpt.scratch.layer_rn.1.weight"
    with pytest.raises(InputError, match=r"layer_rn\.1\.weight must hold the same values as .*layer2_rn\.weight"):
        fill(on_meta(), tensors | {key: tensors[key] + 1}, ANY, device="cpu")


def test_half_precision_files_are_widened(tensors):
    network = on_meta()
    fill(network, {key: value.half() for key, value in tensors.items()}, ANY, device="cpu")
    assert network.enc_norm.weight.dtype == torch.float32


def test_one_message_lists_all_that_does_not_fit(tensors):
    broken = dict(tensors)
    broken["prediction_head.weight"] = torch.zeros(1)
    del broken["enc_blocks.1.mlp.fc2.bias"], broken["dec_blocks2.0.norm_y.weight"]
    broken["enc_norm.bias"] = torch.zeros(3)
    network = on_meta()
    with pytest.raises(InputError) as caught:
        fill(network, broken, Path("some/file.pth"), device="cpu")
    message = str(caught.value)
    assert "some/file.pth does not fit the model" in message
    assert "2 missing: enc_blocks.1.mlp.fc2.bias, dec_blocks2.0.norm_y.weight" in message
    assert "1 unexpected: prediction_head.weight" in message
    assert "1 of another shape: enc_norm.bias [3] instead of [32]" in message
    assert all(parameter.is_meta for parameter in network.parameters())


def test_a_checkpoint_of_another_size_does_not_fit(tmp_path, tensors):
    path = write(tmp_path / "model.pth", tensors, "pth")
    with pytest.raises(InputError, match=r"missing: enc_blocks\.2\.norm1\.weight.*\n.*of another shape: patch_embed"):
        load_official(path, Dust3r)


@pytest.mark.parametrize(
    ("saved", "wanted", "message"),
    [
        ("mast3r", Dust3r, "is a MASt3R checkpoint, expected DUSt3R (from naver/DUSt3R_ViTLarge_BaseDecoder_512_dpt"),
        ("dust3r", Mast3r, "is a DUSt3R checkpoint, expected MASt3R (from naver/MASt3R_ViTLarge_BaseDecoder_512_cat"),
    ],
)
def test_checkpoint_of_the_other_model(tmp_path, saved, wanted, message):
    path = write(tmp_path / "model.pth", official_tensors(saved), "pth")
    with pytest.raises(InputError) as caught:
        load_official(path, wanted)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        (["dec_blocks.0.norm1.weight", "downstream_head1.proj.weight"], "DUSt3R (with a linear head)"),
        (["dec_blocks.0.norm1.weight", "prediction_head.weight"], "CroCo"),
        (["decoder.weight"], None),
    ],
)
def test_other_models_are_known_by_their_keys(keys, found):
    assert identify(dict.fromkeys(keys, torch.zeros(1))) == found


def test_checkpoint_of_a_stranger(tmp_path):
    path = write(tmp_path / "model.pth", {"decoder.weight": torch.zeros(3)}, "pth")
    with pytest.raises(InputError, match=r"is no MASt3R checkpoint: it has 1 tensors, the first: decoder\.weight"):
        load_official(path, Mast3r)
