"""The format of clips, and the model that makes them of images."""

from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from stereozero.config.section import Section


class Fit(StrEnum):
    """How a picture of another shape is brought to the run's size; see :func:`stereozero.images.normalise_image`."""

    COVER = "cover"
    CONTAIN = "contain"
    SHORT_SIDE = "short-side"


class VideoFormat(Section):
    """Size and length of every clip that the pipeline generates or renders. Finished videos keep their own."""

    height: int = Field(64, ge=16, le=4096, multiple_of=2, description="pixels")
    width: int = Field(96, ge=16, le=8192, multiple_of=2, description="pixels")
    frames: int = Field(16, ge=1, le=1024, description="of a clip")
    fps: int = Field(8, ge=1, le=120, description="frames a second")
    fit: Fit = Field(Fit.COVER, description="how conditioning images are brought to height x width")


def _as_text(value: Any) -> Any:
    """YAML reads ``variant: 512`` as a number."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class DynamiCrafterGenerator(Section):
    """DynamiCrafter, an official model (`variant`) or a saved `folder`. Empty keys take the model's own preset."""

    kind: Literal["dynamicrafter"]
    variant: Annotated[Literal["1024", "512", "512-interp", "256"] | None, BeforeValidator(_as_text)] = Field(
        None, description="official model; its weights are fetched once (10.4 GB)"
    )
    checkpoint: str | None = Field(None, description="file with the variant's weights, instead of fetching them")
    folder: str | None = Field(None, description="saved model, such as the embedded one, instead of a variant")
    steps: int = Field(50, ge=1, le=1000, description="DDIM steps")
    eta: float = Field(1.0, ge=0, le=1, description="share of the noise that each step adds anew; 0 adds none")
    guidance: float = Field(7.5, ge=1, le=100, description="classifier-free guidance; 1 is none")
    image_guidance: float | None = Field(
        None,
        ge=1,
        le=100,
        description="towards the image, 'guidance' then being the text's, for a third evaluation a step; 1: towards "
        "the text alone; empty: 'guidance' for both at once",
    )
    guidance_rescale: float | None = Field(None, ge=0, le=1, description="pulls the guided spread back; 0 is none")
    dynamic_rescale: float | None = Field(None, gt=0, le=1, description="the latents' scale at high noise; 1 is none")
    spacing: Literal["trailing", "uniform"] | None = Field(None, description="of the steps over the training steps")
    hold_below: int | None = Field(
        None,
        ge=0,
        le=1000,
        description="timestep; steps of generation below it keep the clean latents that were predicted last and don't "
        "evaluate the network; 0 evaluates it in all steps",
    )
    frame_stride: int | None = Field(
        None, ge=1, le=64, description="the model's fs; 256: more is faster, others: slower"
    )
    dtype: Literal["fp32", "fp16", "bf16"] = Field("fp32", description="of weights and networks; latents stay fp32")
    guidance_in_one_batch: bool = Field(True, description="false: two calls, slower, less memory")
    vae_frames: int = Field(1, ge=1, le=1024, description="frames in one call of the VAE; fewer take less memory")
    offload: bool = Field(False, description="only the network in use on the device: least memory, slower")
    compile: bool = Field(False, description="torch.compile: minutes at the start, then faster")

    @model_validator(mode="after")
    def _names_one_model(self) -> Self:
        if (self.variant is None) == (self.folder is None):
            found = "neither" if self.variant is None else "both"
            raise ValueError(f"needs either 'variant' (1024, 512, 512-interp, 256) or 'folder', found {found}")
        if self.checkpoint is not None and self.variant is None:
            raise ValueError("'checkpoint' needs 'variant', which says what model the file holds")
        return self


# One kind so far; with a second this becomes a union told apart by 'kind', as depths and methods are.
AnyGenerator = DynamiCrafterGenerator
