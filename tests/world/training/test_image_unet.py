"""A few steps of the image UNet's training, and the folder that it leaves, which StereoDiffusion runs on."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from stereozero.baselines.stereodiffusion import Settings, load_image_model, stereo_views
from stereozero.errors import InputError
from stereozero.world.training.adoption import adopt_image_model
from stereozero.world.training.checkpoints import read_checkpoint
from stereozero.world.training.clip import ClipSettings, build_conditioner
from stereozero.world.training.data import PoolSettings, open_pool
from stereozero.world.training.image_unet import (
    ImageUNetSettings,
    ImageUNetTask,
    build_unet,
    export_image_model,
    image_unet_settings,
    save_image_model,
    schedule,
)
from stereozero.world.training.loop import CHECKPOINT, Training
from stereozero.world.training.vae import VaeSettings, build_vae

SETTINGS = ImageUNetSettings(widths=(16, 16), norm_groups=4, batch=4)
CLIP = ClipSettings(image_width=32, image_layers=1, text_width=16, text_layers=2)


@pytest.fixture(scope="module")
def task(tmp_path_factory) -> ImageUNetTask:
    pool = open_pool(tmp_path_factory.mktemp("pool"), PoolSettings(clips=8, height=32, width=48))
    vae = build_vae(VaeSettings(widths=(16, 16, 16), latent_channels=4)).requires_grad_(False)
    conditioner = build_conditioner(CLIP).requires_grad_(False)
    return ImageUNetTask(pool, SETTINGS, vae, conditioner, asdict(SETTINGS))


def test_the_embedded_unet_is_small_and_takes_the_worlds_latents():
    unet = build_unet(ImageUNetSettings(), latent_channels=8, text_width=48)
    assert 1e6 < sum(parameter.numel() for parameter in unet.parameters()) < 2e6
    with torch.no_grad():
        noise = unet(torch.zeros(1, 8, 16, 24), 500, encoder_hidden_states=torch.zeros(1, 77, 48)).sample
    assert noise.shape == (1, 8, 16, 24)


def test_the_loss_falls_and_only_the_unet_is_trained(task, tmp_path):
    batch = task.losses
    task.losses = lambda step: (torch.manual_seed(0), batch(0))[1]  # again and again: single batches differ too much
    try:
        training = Training(task, replace(SETTINGS.how, warmup=2), tmp_path)
        losses = [training._take_step(1000)["loss"] for _ in range(30)]
    finally:
        task.losses = batch
    assert np.mean(losses[-3:]) < 0.8 * losses[0]
    assert {id(parameter) for parameter in training.trained} == {id(p) for p in task.module.parameters()}


def test_a_step_depends_on_its_number_only(task):
    def loss(step: int) -> float:
        torch.manual_seed(step)
        return float(task.losses(step)["loss"].detach())

    assert loss(1) == loss(1) != loss(2)


def test_stereodiffusion_runs_on_the_folder_it_leaves(task, tmp_path):
    save_image_model(task.module, tmp_path / "model")
    task._vae.save_pretrained(tmp_path / "generator" / "vae")
    task._conditioner.save_pretrained(tmp_path / "generator" / "conditioner")
    model = load_image_model(tmp_path / "model", tmp_path / "generator", "cpu")
    assert model.schedule.prediction == "v_prediction"
    assert np.allclose(model.schedule.alpha_bar, schedule().alpha_bar, atol=2e-6)
    settings = Settings(steps=2, null_text_steps=1, shift_step=0, attention_step=0, size=None)
    pixels, disparity = torch.zeros(1, 3, 32, 48), torch.zeros(1, 32, 48)
    views = stereo_views(pixels, disparity, 4.0, model, settings, torch.Generator())
    assert views.right.shape == pixels.shape


def test_an_exported_model_can_be_gone_on_from(tmp_path, monkeypatch):
    monkeypatch.setattr("stereozero.world.training.image_unet.GENERATOR", tmp_path / "generator")
    build_vae(VaeSettings()).save_pretrained(tmp_path / "generator" / "vae")
    conditioner = build_conditioner(ClipSettings())
    conditioner.save_pretrained(tmp_path / "generator" / "conditioner")
    exported = build_unet(ImageUNetSettings(), VaeSettings().latent_channels, conditioner.config.text_cfg["width"])
    save_image_model(exported, tmp_path / "image")
    adopt_image_model(tmp_path, tmp_path / "image")
    settings = image_unet_settings(tmp_path, ImageUNetSettings())
    checkpoint = read_checkpoint(tmp_path / "image-unet" / CHECKPOINT, settings)
    assert checkpoint.step == 0
    assert len(checkpoint.settings["grown_from"]["sha256"]) == 64
    assert all(
        torch.equal(value.half(), checkpoint.model[name].half()) for name, value in exported.state_dict().items()
    )


def test_only_a_finished_model_is_exported(task, tmp_path):
    trained = tmp_path / "work" / "image-unet" / "model"
    save_image_model(task.module, trained)
    with pytest.raises(InputError, match=r"image-unet/model is missing: run '.* image-unet' to its end"):
        export_image_model(tmp_path / "work", tmp_path / "image")
    (trained / "README.md").write_text("# Card")
    export_image_model(tmp_path / "work", tmp_path / "image")
    exported = sorted(path.relative_to(tmp_path / "image") for path in (tmp_path / "image").rglob("*.*"))
    assert exported == sorted(path.relative_to(trained) for path in trained.rglob("*.*"))
    weights = "unet/diffusion_pytorch_model.safetensors"
    assert (tmp_path / "image" / weights).read_bytes() == (trained / weights).read_bytes()
