"""Going on from exported models: their networks are put where a training would have left them."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.utils import SAFETENSORS_WEIGHTS_NAME
from torch import nn

from stereozero.artifacts import sha256_of, write_json
from stereozero.backbones.dynamicrafter import ClipConditioner, Resampler, VideoUNet
from stereozero.saved_networks import read_network
from stereozero.world.training.checkpoints import ORIGIN, Checkpoint, origin, write_checkpoint
from stereozero.world.training.clip import ClipSettings
from stereozero.world.training.image_unet import ImageUNetSettings, image_unet_settings
from stereozero.world.training.loop import CHECKPOINT, Optimisation
from stereozero.world.training.muon import optimisers_of
from stereozero.world.training.stages import decoder_settings, read_part, unet_settings, vae_settings
from stereozero.world.training.unet import GeneratorParts, UNetSettings, gently
from stereozero.world.training.vae import DecoderSettings, VaeSettings, only_decoder_trained
from stereozero.world.training.widening import widen


def adopt_generator(work: Path, folder: Path) -> None:
    """Put a model folder's networks where a training would have left them, to go on from them with new optimisers.

    The VAE may be trained on, its decoder, and the UNet. The latter two are made for the VAE: if that was trained on,
    they are to be adopted again, :func:`adopt_rest`. A UNet half as wide as the settings say is widened. The folder may
    lack unet and resampler; then only VAE and encoders are put there.
    """
    vae = read_network(AutoencoderKL, folder / "vae").requires_grad_(True)
    conditioner = read_network(ClipConditioner, folder / "conditioner").requires_grad_(True)
    vae.save_pretrained(work / "vae" / "model")
    _adopt_conditioner(work, folder / "conditioner", conditioner)
    write_json(work / "vae" / ORIGIN, {"sha256": sha256_of(folder / "vae" / SAFETENSORS_WEIGHTS_NAME)})
    _begin(work / "vae", vae, VaeSettings().how, vae_settings(work, VaeSettings()))
    adopt_rest(work, folder)


def adopt_rest(work: Path, folder: Path) -> None:
    """Adopt a model folder's UNet for the VAE as it was trained on since it was adopted, and begin with its decoder.

    The more the VAE's latents have changed, the more the UNet has to learn anew.
    """
    vae, conditioner = read_part(AutoencoderKL, work, "vae"), read_part(ClipConditioner, work, "clip")
    vae.save_pretrained(work / "decoder" / "model")
    described = decoder_settings(work, DecoderSettings())
    _begin(work / "decoder", only_decoder_trained(vae), DecoderSettings().how, described)
    if (folder / "unet" / SAFETENSORS_WEIGHTS_NAME).is_file():
        _adopt_unet(work, folder, GeneratorParts(UNetSettings(), conditioner, vae.config.latent_channels))


def adopt_image_model(work: Path, folder: Path) -> None:
    """Put an image model's UNet where its training would have left it, to go on for a generator exported since."""
    unet = read_network(UNet2DConditionModel, folder / "unet").requires_grad_(True)
    write_json(work / "image-unet" / ORIGIN, {"sha256": sha256_of(folder / "unet" / SAFETENSORS_WEIGHTS_NAME)})
    settings = ImageUNetSettings()
    _begin(work / "image-unet", unet, settings.how, image_unet_settings(work, settings))


def _adopt_conditioner(work: Path, folder: Path, conditioner: ClipConditioner) -> None:
    # Not to be trained on contrastively: its text tower has been trained along with the UNet since. It is exported.
    conditioner.save_pretrained(work / "clip" / "model")
    write_json(work / "clip" / ORIGIN, {"sha256": sha256_of(folder / SAFETENSORS_WEIGHTS_NAME)})
    settings = ClipSettings()
    _begin(work / "clip", conditioner, settings.how, asdict(settings) | origin(work / "clip"))


def _adopt_unet(work: Path, folder: Path, parts: GeneratorParts) -> None:
    adopted = read_network(VideoUNet, folder / "unet")
    widen(adopted, parts.unet)
    parts.resampler.load_state_dict(read_network(Resampler, folder / "resampler").state_dict())
    described = {
        "model_channels": adopted.config.model_channels,
        "sha256": sha256_of(folder / "unet" / SAFETENSORS_WEIGHTS_NAME),
    }
    write_json(work / "unet" / ORIGIN, described)
    settings = gently(UNetSettings(), described["sha256"])
    _begin(work / "unet", parts, settings.how, unet_settings(work, settings))


def _begin(folder: Path, module: nn.Module, how: Optimisation, settings: Mapping[str, Any]) -> None:
    states = [optimiser.state_dict() for optimiser in optimisers_of(module, how.rate, how.weight_decay)]
    weights = module.state_dict()
    write_checkpoint(folder / CHECKPOINT, Checkpoint(0, 0.0, weights, weights, states, settings))
