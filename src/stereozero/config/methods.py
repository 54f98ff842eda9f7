"""Methods that make the target view, the controls among them."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from stereozero.config.section import Section, Strength
from stereozero.stereo.settings import PRESETS, SamplerSettings


class MonoCopy(Section):
    """Control: the target is the source. Scores best where a metric rewards doing nothing."""

    kind: Literal["mono-copy"]


class GroundTruth(Section):
    """Control: the true target view, where it is known."""

    kind: Literal["ground-truth"]
    strength: Strength | None = Field(None, description="overrides the run's strength")


class Finished(Section):
    """An outside method's results: the manifest's finished pairs, or a `folder` of videos for clips of the run."""

    kind: Literal["finished"]
    folder: str | None = Field(None, description="with <clip_id>.mkv, .mp4, .mov or .avi; empty: the manifest's pairs")
    layout: Literal["target", "full-sbs", "half-sbs", "full-tb", "half-tb"] = Field(
        "target", description="of the folder's videos: the target view alone, or both, the left one left or above"
    )
    swap_eyes: bool = Field(False, description="of the folder's videos: the right view is left or above")


class WarpFill(Section):
    """Depth-image-based rendering: forward warp of the source view, then hole filling."""

    kind: Literal["warp-fill"]
    depth: str = Field(description="name of a variant in 'depths'")
    fill: Literal["edge-stretch", "background", "mirror", "telea", "navier-stokes", "temporal"] = "background"
    warp: Literal["whole", "subpixel"] = Field("subpixel", description="shift by whole pixels or by fractions")
    halo: int = Field(
        1, ge=0, le=16, description="columns beside a hole that are filled along with it: mixed edge pixels"
    )
    strength: Strength | None = Field(None, description="overrides the run's strength")


class VaeLimit(Section):
    """Control: the true target view, encoded and decoded. No method that decodes all of its pixels can do better."""

    kind: Literal["vae-limit"]
    strength: Strength | None = Field(None, description="overrides the run's strength")


class Ours(SamplerSettings):
    """StereoCrafter-Zero: the target view is sampled with the generator. The sampler's keys change the preset."""

    kind: Literal["ours"]
    depth: str = Field(description="name of a variant in 'depths'")
    preset: Literal["best", "paper", "reference"] = Field("best", description="where the sampler's keys start from")
    strength: Strength | None = Field(None, description="overrides the run's strength")
    trajectory: Literal["noised", "inverted"] = Field(
        "inverted", description="latents of a given video: the forward process with one noise, or DDIM inversion"
    )
    guidance: float | None = Field(None, ge=1, le=100, description="empty: the generator's")
    views: Literal["target", "both"] = Field(
        "target", description="both: the source is taken for the view in the middle, and both are synthesised"
    )

    @model_validator(mode="before")
    @classmethod
    def _start_from_preset(cls, given: Any) -> Any:
        chosen = given.get("preset", "best") if isinstance(given, Mapping) else None
        return {**PRESETS[chosen], **given} if isinstance(chosen, str) and chosen in PRESETS else given

    @property
    def sampler(self) -> SamplerSettings:
        """The sampler's part of the settings."""
        return SamplerSettings(**{name: getattr(self, name) for name in SamplerSettings.model_fields})


class StereoDiffusion(Section):
    """StereoDiffusion with an image model in diffusers' layout, frame by frame; the released code's defaults."""

    kind: Literal["stereodiffusion"]
    depth: str = Field(description="name of a variant in 'depths'")
    model: str = Field(description="folder with unet, scheduler and, without 'encoders', vae, text_encoder, tokenizer")
    encoders: str | None = Field(None, description="generator's folder whose vae and conditioner the UNet belongs to")
    steps: int = Field(50, ge=1, le=1000, description="DDIM steps")
    guidance: float = Field(7.5, ge=1, le=100, description="classifier-free guidance; 1 is none")
    null_text_steps: int = Field(10, ge=0, le=1000, description="of each embedding; 0: plain DDIM inversion")
    shift_step: int = Field(10, ge=0, le=1000, description="first shift follows this step, others every so many steps")
    attention: Literal["uni", "bi", "none"] = Field("uni", description="whose keys and values self-attention sees")
    attention_step: int = Field(10, ge=0, le=1000, description="step from which it does")
    noise_in_holes: bool = Field(False, description="instead of 0, at the first shift")
    height: int | None = Field(512, ge=8, le=4096, description="the model works at; empty: the clip's own")
    width: int | None = Field(512, ge=8, le=8192, description="the model works at; empty: the clip's own")
    frames_at_once: int = Field(1, ge=1, le=1024, description="in one call of the UNet; fewer take less memory")
    strength: Strength | None = Field(None, description="overrides the run's strength")

    @model_validator(mode="after")
    def _has_both_sides(self) -> Self:
        if (self.height is None) != (self.width is None):
            raise ValueError("give both 'height' and 'width', or neither of them")
        return self


class External(Section):
    """Another method, through an adapter: one of this package's, or a Python file of your own."""

    kind: Literal["external"]
    name: str = Field(description="propainter, immersepro, rodynrf, or a Python file; see docs/adding-a-baseline.md")
    depth: str = Field(description="name of a variant in 'depths'")
    settings: dict[str, bool | int | float | str] = Field({}, description="the adapter's own settings")
    checkout: str | None = Field(None, description="your own checkout of the program at the adapter's commit")
    environment: str | None = Field(None, description="your own environment for it: a folder with bin/python")
    timeout_minutes: float | None = Field(None, gt=0, description="for one call; empty: the adapter's")
    strength: Strength | None = Field(None, description="overrides the run's strength")


AnyMethod = MonoCopy | GroundTruth | VaeLimit | Finished | WarpFill | StereoDiffusion | External | Ours
Method = Annotated[AnyMethod, Field(discriminator="kind")]
CONTROLS = ("mono-copy", "ground-truth", "vae-limit")
"""Kinds of method that are none, but what the scores of others are to be read against."""
