"""The official DynamiCrafter models and what each was trained and is recommended to be used with.

Importing this module does not import torch: the plan of a run is checked with it.
Source: configs/inference_*_v1.0.yaml, scripts/run.sh and scripts/run_application.sh of Doubiiu/DynamiCrafter.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stereozero.errors import InputError

if TYPE_CHECKING:
    from stereozero.diffusion.schedule import NoiseSchedule, Prediction, Spacing

VARIANT_FILE = "variant.json"
NETWORKS = ("unet", "resampler", "vae", "conditioner")  # the folders of a saved model
OFFICIAL_SIZE_FACTOR = 64  # the VAE halves the picture three times, the UNet the latent another three times


@dataclass(frozen=True)
class Variant:
    """One model's fixed choices.

    Attributes:
        name: what configurations call it.
        height, width: pixels it was trained for.
        frames: clip length, the only one it makes.
        prediction, zero_terminal_snr, base_scale: training schedule; see :meth:`NoiseSchedule.scaled_linear`.
        spacing: recommended spacing of the sampling steps.
        guidance_rescale: recommended rescale (StereoCrafter-Zero uses none).
        default_fs: recommended value of the ``fs`` condition.
        fs_range: recommended lower and upper value.
        fs_is_stride: ``fs`` is a frame stride, more is faster; otherwise frames a second, more is slower.
        learned_image_scale: the image cross-attention has a trained weight.
        repository: where the checkpoint is published on the Hugging Face hub.
        set_alpha_to_one: the last sampling step leaves no noise (diffusers' name for it) and no dynamic rescale. With
            the official models it leaves the noise of training timestep 0, 0.03 of the latents' standard deviation,
            and the scale of the last timestep.
        hold_below: recommended timestep below which steps of generation keep the clean latents that were predicted
            last, see :func:`~stereozero.diffusion.sampling.sample`; 0 evaluates the network in all of them.
    """

    name: str
    height: int
    width: int
    frames: int
    prediction: "Prediction"
    zero_terminal_snr: bool
    base_scale: float | None
    spacing: "Spacing"
    guidance_rescale: float
    default_fs: int
    fs_range: tuple[int, int]
    fs_is_stride: bool
    learned_image_scale: bool
    repository: str
    set_alpha_to_one: bool = False
    hold_below: int = 0

    def noise_schedule(self) -> "NoiseSchedule":
        """Return the training schedule."""
        from stereozero.diffusion.schedule import NoiseSchedule

        return NoiseSchedule.scaled_linear(
            self.prediction,
            zero_terminal_snr=self.zero_terminal_snr,
            base_scale=self.base_scale,
            set_alpha_to_one=self.set_alpha_to_one,
        )


_ALL = (
    Variant(
        name="256",
        height=256,
        width=256,
        frames=16,
        prediction="epsilon",
        zero_terminal_snr=False,
        base_scale=None,
        spacing="uniform",
        guidance_rescale=0.0,
        default_fs=3,
        fs_range=(1, 6),
        fs_is_stride=True,
        learned_image_scale=True,
        repository="Doubiiu/DynamiCrafter",
    ),
    Variant(
        name="512",
        height=320,
        width=512,
        frames=16,
        prediction="v_prediction",
        zero_terminal_snr=True,
        base_scale=0.7,
        spacing="trailing",
        guidance_rescale=0.7,
        default_fs=24,
        fs_range=(15, 30),
        fs_is_stride=False,
        learned_image_scale=False,
        repository="Doubiiu/DynamiCrafter_512",
    ),
    Variant(
        name="1024",
        height=576,
        width=1024,
        frames=16,
        prediction="v_prediction",
        zero_terminal_snr=True,
        base_scale=0.3,
        spacing="trailing",
        guidance_rescale=0.7,
        default_fs=10,
        fs_range=(5, 15),
        fs_is_stride=False,
        learned_image_scale=False,
        repository="Doubiiu/DynamiCrafter_1024",
    ),
    Variant(
        name="512-interp",
        height=320,
        width=512,
        frames=16,
        prediction="v_prediction",
        zero_terminal_snr=True,
        base_scale=0.7,
        spacing="trailing",
        guidance_rescale=0.7,
        default_fs=5,
        fs_range=(5, 30),
        fs_is_stride=False,
        learned_image_scale=False,
        repository="Doubiiu/DynamiCrafter_512_Interp",
    ),
)
VARIANTS = {variant.name: variant for variant in _ALL}


def variant_named(name: str) -> Variant:
    """Return the official variant called ``name``.

    Raises:
        InputError: no such variant; the message lists them.
    """
    try:
        return VARIANTS[name]
    except KeyError:
        raise InputError(f"unknown DynamiCrafter variant {name!r}; there are {', '.join(VARIANTS)}") from None


def read_variant(folder: Path) -> Variant:
    """Return the variant of a saved model folder (see ``DynamiCrafter.save_pretrained``).

    Raises:
        InputError: a part of the folder is missing, or its variant.json is none.
    """
    for part in (VARIANT_FILE, *(f"{name}/config.json" for name in NETWORKS)):
        if not (folder / part).is_file():
            raise InputError(f"{folder} is no DynamiCrafter model folder: there is no {part}")
    settings = _read_json(folder / VARIANT_FILE)
    try:
        return Variant(**settings | {"fs_range": tuple(settings["fs_range"])})
    except (TypeError, KeyError) as error:
        raise InputError(f"{folder / VARIANT_FILE} does not describe a variant of this version ({error})") from error


def read_size_factor(folder: Path) -> int:
    """Return what height and width in pixels must be multiples of for a saved model.

    Raises:
        InputError: the folder's configuration files can't be read.
    """
    halvings = len(_read_json(folder / "vae" / "config.json")["block_out_channels"]) - 1
    halvings += len(_read_json(folder / "unet" / "config.json")["channel_mult"]) - 1
    return 2**halvings


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: can't be read as JSON ({error}); save the model again") from error
