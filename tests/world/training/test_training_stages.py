"""The training's parts as commands: what they refuse, and going on from an exported model."""

from dataclasses import replace

import pytest
import torch

from stereozero.artifacts import write_json
from stereozero.backbones.dynamicrafter import DynamiCrafter
from stereozero.errors import InputError
from stereozero.world.training.__main__ import main
from stereozero.world.training.adoption import adopt_generator, adopt_rest
from stereozero.world.training.checkpoints import read_checkpoint
from stereozero.world.training.clip import ClipSettings, build_conditioner
from stereozero.world.training.stages import export_generator, halved, read_generator
from stereozero.world.training.unet import GeneratorParts, UNetSettings
from stereozero.world.training.vae import VaeSettings, build_vae


@pytest.fixture(scope="module")
def adopted(tmp_path_factory):
    """Return the working folder that has adopted an exported, untrained generator, and that."""
    folder = tmp_path_factory.mktemp("generator")
    parts = GeneratorParts(UNetSettings(), build_conditioner(ClipSettings()), VaeSettings().latent_channels)
    backbone = halved(parts.backbone(build_vae(VaeSettings())))
    backbone.save_pretrained(folder / "model")
    adopt_generator(folder / "work", folder / "model")
    return folder / "work", backbone


def test_an_exported_generator_can_be_gone_on_from(adopted):
    work, exported = adopted
    read, checkpoint = read_generator(work, "cpu")
    assert checkpoint.step == 0
    for name, network in exported.modules.named().items():
        again = read.modules.named()[name].state_dict()
        assert all(torch.equal(value.float(), again[key]) for key, value in network.state_dict().items()), name


def test_what_was_adopted_is_noted_in_the_settings(adopted):
    work, exported = adopted
    _, checkpoint = read_generator(work, "cpu")
    assert checkpoint.settings["places_weight"] == 0
    assert checkpoint.settings["grown_from"]["model_channels"] == exported.modules.unet.config.model_channels
    assert len(checkpoint.settings["grown_from"]["sha256"]) == 64


def test_a_unet_is_adopted_again_for_a_vae_that_was_trained_on(adopted, tmp_path):
    _, exported = adopted
    exported.save_pretrained(tmp_path / "model")
    adopt_generator(tmp_path / "work", tmp_path / "model")
    before = [read_checkpoint(tmp_path / "work" / name / "checkpoint.pt").settings for name in ("decoder", "unet")]
    trained = build_vae(VaeSettings())
    torch.nn.init.ones_(trained.decoder.conv_in.bias)
    trained.save_pretrained(tmp_path / "work" / "vae" / "model")
    adopt_rest(tmp_path / "work", tmp_path / "model")
    after = [read_checkpoint(tmp_path / "work" / name / "checkpoint.pt").settings for name in ("decoder", "unet")]
    for old, new in zip(before, after, strict=True):
        assert old["made_for"]["vae"] != new["made_for"]["vae"]
        assert old | {"made_for": None} == new | {"made_for": None}
    read, _ = read_generator(tmp_path / "work", "cpu")
    assert torch.equal(read.modules.vae.decoder.conv_in.bias, torch.ones_like(read.modules.vae.decoder.conv_in.bias))


def test_a_narrower_generator_is_widened(tmp_path):
    half = replace(UNetSettings(), width=UNetSettings().width // 2)
    parts = GeneratorParts(half, build_conditioner(ClipSettings()), VaeSettings().latent_channels)
    parts.backbone(build_vae(VaeSettings())).save_pretrained(tmp_path / "model")
    adopt_generator(tmp_path / "work", tmp_path / "model")
    read, checkpoint = read_generator(tmp_path / "work", "cpu")
    assert read.modules.unet.config.model_channels == UNetSettings().width
    assert checkpoint.settings["grown_from"]["model_channels"] == half.width
    narrow, wide = parts.unet.middle_block[0].in_layers[2], read.modules.unet.middle_block[0].in_layers[2]
    assert torch.equal(wide.bias, narrow.bias.repeat_interleave(2))


def test_only_an_evaluated_generator_is_exported(adopted, tmp_path):
    with pytest.raises(InputError, match="evaluate"):
        export_generator(adopted[0], tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_was_adopted_is_exported_again(adopted, tmp_path):
    work, exported = adopted
    at_rest = {"share": 0.5, "change": 1, "seen": 0.1}
    reached = {"rest": at_rest, "rest_vae": at_rest} | dict.fromkeys(
        [
            "vae_limit",
            "first_frame",
            "direction_right",
            "direction_counted",
            "colour_kept",
            "shape_kept",
            "shape_kept_vae",
            "shape_right",
            "shape_right_vae",
            "flicker",
            "flicker_truth",
            "flicker_vae",
        ],
        1,
    )
    figures = {name: {"simple": value, "complex": value} for name, value in (("vae_psnr", 30), ("generator", reached))}
    write_json(work / "evaluation" / "figures.json", {"step": 0, **figures})
    export_generator(work, tmp_path)
    (work / "evaluation" / "figures.json").unlink()
    read = DynamiCrafter.from_pretrained(tmp_path)
    for name, network in exported.modules.named().items():
        again = read.modules.named()[name].state_dict()
        assert all(torch.equal(value, again[key].to(value)) for key, value in network.state_dict().items()), name
    assert "| clip |" in (tmp_path / "README.md").read_text()


@pytest.mark.parametrize(
    ("part", "before"), [("unet", "vae"), ("decoder", "vae"), ("evaluate", "decoder"), ("export", "decoder")]
)
def test_what_must_be_trained_before_is_named(tmp_path, part, before):
    with pytest.raises(SystemExit, match=rf"stereozero.world.training {before}'"):
        main([part, "--work-dir", str(tmp_path)])
