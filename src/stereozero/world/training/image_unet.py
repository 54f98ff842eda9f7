"""Training of a small image UNet on latents of rendered frames: the image model that StereoDiffusion runs on here.

It belongs to the exported generator's VAE and text tower, which are not trained along; if these are exported anew, this
is to be trained anew, or gone on with ("adopt-image"). A plain diffusers UNet, as in Stable Diffusion 2: v-prediction,
scaled linear schedule without zero terminal SNR, so that a picture can be inverted.
"""

import copy
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as nnf
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from diffusers.utils import SAFETENSORS_WEIGHTS_NAME
from torch import Tensor

from stereozero.artifacts import atomic_path
from stereozero.backbones.dynamicrafter import ClipConditioner
from stereozero.diffusion.schedule import NoiseSchedule, add_noise, velocity_target
from stereozero.errors import InputError
from stereozero.saved_networks import read_network
from stereozero.world.training.checkpoints import made_for, origin
from stereozero.world.training.data import ClipPool, PoolSettings, open_pool, step_rng, to_pixels
from stereozero.world.training.loop import Optimisation, Training
from stereozero.world.training.noising import spread_times

STEPS = {"image-unet": 1500}
"""Steps of the training, unless others are asked for."""

GENERATOR = Path("models/generator")


@dataclass(frozen=True)
class ImageUNetSettings:
    """Choices of the UNet and its training.

    Attributes:
        widths: channels of each level.
        head_width: of every attention head.
        norm_groups: of every GroupNorm.
        batch: frames a step.
        no_text: share of frames without text; high, because the empty prompt is the one that StereoDiffusion uses.
        how: the descent.
    """

    widths: tuple[int, ...] = (32, 32, 64)
    head_width: int = 16
    norm_groups: int = 8
    batch: int = 16
    no_text: float = 0.4
    how: Optimisation = Optimisation(rate=2e-3, warmup=100)  # noqa: RUF009, it is frozen


def build_unet(settings: ImageUNetSettings, latent_channels: int, text_width: int) -> UNet2DConditionModel:
    """Return the untrained UNet; its weights follow from the seed."""
    torch.manual_seed(settings.how.seed)
    levels = len(settings.widths)
    return UNet2DConditionModel(
        in_channels=latent_channels,
        out_channels=latent_channels,
        down_block_types=("CrossAttnDownBlock2D",) * levels,
        up_block_types=("CrossAttnUpBlock2D",) * levels,
        block_out_channels=settings.widths,
        layers_per_block=1,
        cross_attention_dim=text_width,
        attention_head_dim=tuple(width // settings.head_width for width in settings.widths),  # it means heads
        norm_num_groups=settings.norm_groups,
    )


class ImageUNetTask:
    """The denoising loss of random frames; see :class:`~stereozero.world.training.loop.Task`.

    Args:
        pool: the clips.
        settings: choices.
        vae, conditioner: of the exported generator; not trained.
        described: what a checkpoint must agree with to be gone on from, as JSON values.
    """

    def __init__(
        self,
        pool: ClipPool,
        settings: ImageUNetSettings,
        vae: AutoencoderKL,
        conditioner: ClipConditioner,
        described: Mapping[str, Any],
    ):
        self.module = build_unet(settings, vae.config.latent_channels, conditioner.config.text_cfg["width"])
        self.settings = dict(described)
        self._pool, self._choices = pool, settings
        self._vae, self._conditioner = vae, conditioner
        self._schedule = schedule()

    def losses(self, step: int) -> dict[str, Tensor]:
        """Return "loss", the mean squared error of the velocity."""
        choices, device = self._choices, self.module.device
        rng = step_rng(choices.how.seed, step)
        clips = rng.integers(len(self._pool.videos), size=choices.batch)
        times = rng.integers(self._pool.settings.frames, size=choices.batch)
        dropped = rng.random(choices.batch) < choices.no_text
        captions = ["" if drop else self._pool.captions[clip] for clip, drop in zip(clips, dropped, strict=True)]
        # Not mirrored: captions say what is left and right.
        latents, text = self._encoded(to_pixels(self._pool.videos[clips, times]).to(device), captions)
        levels = spread_times(rng, choices.batch, self._schedule.train_steps)  # (B,)
        alpha_bar = torch.from_numpy(self._schedule.alpha_bar[levels])  # (B,)
        noise = torch.randn_like(latents)
        noisy, target = add_noise(latents, noise, alpha_bar), velocity_target(latents, noise, alpha_bar)
        velocity = self.module(noisy, torch.from_numpy(levels).to(device), encoder_hidden_states=text).sample
        return {"loss": nnf.mse_loss(velocity, target)}

    @torch.no_grad()
    def _encoded(self, pixels: Tensor, captions: list[str]) -> tuple[Tensor, Tensor]:
        # (B, 3, H, W) -> (B, C, h, w), one posterior draw a frame; and (B, L, D)
        latents = self._vae.to(pixels.device).encode(pixels).latent_dist.sample() * self._vae.config.scaling_factor
        return latents, self._conditioner.to(pixels.device).encode_text(captions)


def schedule() -> NoiseSchedule:
    """Return the schedule that the UNet is trained with."""
    return NoiseSchedule.scaled_linear("v_prediction")


def train_image_unet(work: Path, steps: int, device: str) -> None:
    """Train the image UNet on frames, with the exported generator's VAE and text tower."""
    vae, conditioner = (
        _exported(kind, name) for kind, name in ((AutoencoderKL, "vae"), (ClipConditioner, "conditioner"))
    )
    settings = ImageUNetSettings()
    described = image_unet_settings(work, settings)
    task = ImageUNetTask(open_pool(work / "pool", PoolSettings()), settings, vae, conditioner, described)
    training = Training(task, settings.how, work / "image-unet", device)
    folder = _trained(work)
    save_image_model(training.run(steps), folder)
    with atomic_path(folder / "README.md") as temporary:
        temporary.write_text("\n".join(_card(training, described)), encoding="utf-8")


def image_unet_settings(work: Path, settings: ImageUNetSettings) -> dict[str, Any]:
    """Return what a checkpoint must agree with.

    That is the choices, the exported generator's networks that it was made for and, if adopted, where it came from.
    """
    made = made_for(vae=GENERATOR / "vae", conditioner=GENERATOR / "conditioner")
    return asdict(settings) | origin(work / "image-unet") | made


def export_image_model(work: Path, folder: Path) -> None:
    """Write the trained image model with its card to a model folder.

    Raises:
        InputError: its training was not finished yet.
    """
    if not (_trained(work) / "README.md").is_file():
        raise InputError(
            f"{_trained(work)} is missing: run 'python -m stereozero.world.training image-unet' to its end"
        )
    shutil.copytree(_trained(work), folder, dirs_exist_ok=True)


def save_image_model(unet: UNet2DConditionModel, folder: Path) -> None:
    """Write UNet (float16) and schedule as diffusers does; the configuration's 'model', with 'encoders' beside it."""
    copy.deepcopy(unet).half().save_pretrained(folder / "unet")
    DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type=schedule().prediction,
        set_alpha_to_one=False,
        clip_sample=False,
    ).save_pretrained(folder / "scheduler")


def _trained(work: Path) -> Path:
    """Return where the training leaves the model; its card is written last."""
    return work / "image-unet" / "model"


def _card(training: Training, described: Mapping[str, Any]) -> list[str]:
    size = sum(map(torch.numel, training.average.parameters()))
    return [
        "# The embedded image model",
        "",
        "A small diffusers UNet2DConditionModel with Stable Diffusion's schedule, which StereoDiffusion runs on in the",
        "demo. It works on latents of the embedded generator's VAE and with its text tower. It knows nothing but",
        "frames of the synthetic world. Weights are stored as float16.",
        "",
        f"{size:,} parameters, trained by `python -m stereozero.world.training image-unet`: {training.step} steps in "
        f"{training.seconds / 60:.0f} minutes. If there is `grown_from` in the settings, it went on from the exported "
        "model with that checksum (`adopt-image`), and these are the steps since.",
        "",
        "Settings:",
        "",
        "```json",
        json.dumps(dict(described), indent=2),
        "```",
        "",
    ]


def _exported(kind: type, name: str) -> torch.nn.Module:
    folder = GENERATOR / name
    if not (folder / SAFETENSORS_WEIGHTS_NAME).is_file():
        raise InputError(f"{folder} is missing: export the generator first, and start this in the repository's root")
    return read_network(kind, folder)
