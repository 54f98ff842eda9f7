"""The vision transformers against the official code's numbers and key lists, and saved ones."""

import pytest
import torch
from met3r_goldens import fill, read_case, read_facts, read_keys, squashed
from parity import largest_error

from stereozero.errors import InputError
from stereozero.vision_transformer import DINO_VITS16, DINOV2, VisionTransformer, VitConfig, read_vit, save_vit

TINY = VitConfig(image_size=32, patch_size=8, width=16, depth=1, heads=2)


@pytest.mark.parametrize("case", ["h64w96", "h96w80_w_odd", "sq224", "sq256"])
def test_dino_equals_the_reference(case):
    facts, expected = read_case("dino16_tiny")
    config = VitConfig(224, 16, 48, 2, 2, layer_scale=False, mask_token=False)
    network = fill(VisionTransformer(config), facts["params"])
    images = squashed(*facts["cases"][case])
    tokens = network.forward_features(images)["x_norm_patchtokens"]
    features = tokens.transpose(1, 2).unflatten(2, (images.shape[2] // 16, images.shape[3] // 16))
    step = 4 if case.startswith("sq") else 1
    assert largest_error(features[:, :, ::step, ::step], expected[f"{case}.features"]) < 3e-5


@pytest.mark.parametrize("case", ["plain.h70w98", "plain.sq98", "reg4.h70w98", "reg4.sq98", "nointerp.sq98"])
def test_dinov2_equals_the_reference(case):
    facts, expected = read_case("dinov2_tiny")
    variant = case.partition(".")[0]
    settings = facts["variants"][variant]
    config = VitConfig(settings["img_size"], 14, 48, 2, 2, registers=settings["num_register_tokens"])
    network = fill(VisionTransformer(config), facts["params"][variant])
    images = squashed(*facts["cases"][case])
    tokens = network.forward_features(images)
    names = ["x_norm_patchtokens", "x_norm_clstoken", *(["x_norm_regtokens"] if variant == "reg4" else [])]
    for name in names:
        assert largest_error(tokens[name], expected[f"{case}.{name}"]) < 2e-5, name
    table = network.position_table(images.shape[2] // 14, images.shape[3] // 14)
    assert largest_error(table, expected[f"{case}.pos_embed_used"]) < 2e-5
    assert torch.equal(network(images), tokens["x_norm_clstoken"])


def test_full_size_models_have_the_official_keys():
    with torch.device("meta"):
        models = {name: VisionTransformer(config).state_dict() for name, config in DINOV2.items()}
        dino = VisionTransformer(DINO_VITS16).state_dict()
    for name, keys in read_keys("dinov2_checkpoint_keys").items():
        assert {key: list(value.shape) for key, value in models[name].items()} == {k: v[0] for k, v in keys.items()}
    assert {key: list(value.shape) for key, value in dino.items()} == read_facts("dino16_tiny")["real_vits16_keys"]


def test_hidden_patches_are_replaced():
    network = VisionTransformer(TINY)
    images, masks = torch.rand(2, 3, 16, 24), torch.zeros(2, 6, dtype=torch.bool)
    masks[0, 2] = True
    other = images.clone()
    other[0, :, :8, 16:] = 0.5
    torch.nn.init.normal_(network.mask_token)
    hidden = network.forward_features(images, masks)["x_norm_patchtokens"]
    assert torch.equal(hidden, network.forward_features(other, masks)["x_norm_patchtokens"])
    assert not torch.equal(hidden, network.forward_features(images)["x_norm_patchtokens"])


def test_sides_that_are_no_multiples_are_refused():
    with pytest.raises(InputError, match=r"20 x 24 pixels .height x width.; this network needs multiples of 8"):
        VisionTransformer(TINY)(torch.rand(1, 3, 20, 24))


def test_a_saved_network_is_read_back(tmp_path):
    network = VisionTransformer(TINY).half().float().eval()
    save_vit(network, tmp_path)
    images = torch.rand(1, 3, 16, 24)
    assert torch.equal(read_vit(tmp_path)(images), network(images))


def test_what_is_not_a_saved_network_is_named(tmp_path):
    with pytest.raises(InputError, match=r"config.json: is not the shape of a saved vision transformer"):
        read_vit(tmp_path)
    save_vit(VisionTransformer(TINY), tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(InputError, match="neither a PyTorch checkpoint"):
        read_vit(tmp_path)
    save_vit(VisionTransformer(VitConfig(32, 8, 24, 1, 2)), tmp_path / "other")
    (tmp_path / "other" / "model.safetensors").replace(tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="does not fit the model"):
        read_vit(tmp_path)
