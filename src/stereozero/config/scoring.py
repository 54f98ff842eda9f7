"""Metrics, and the networks that some of them run."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from stereozero.config.section import Section

Metric = Literal[
    "disparity",
    "achieved",
    "disparity_error",
    "fidelity",
    "fidelity_masked",
    "siou",
    "siou_masked",
    "colour",
    "flicker",
    "window",
    "clip_text",
    "clip_frame",
    "met3r",
]
NETWORK_METRICS = {"clip_text": "clip", "clip_frame": "clip", "met3r": "met3r"}
"""Metrics that run a network -> the key of 'scoring' that names it. They are computed only when asked for."""


def _with_disparity(metrics: list[str]) -> list[str]:
    if "disparity" not in metrics:
        raise ValueError("'disparity' is missing; delivery and the convergence rest on the disparity achieved")
    return metrics


Metrics = Annotated[list[Metric], AfterValidator(_with_disparity)]


class ClipScoring(Section):
    """The CLIP model of the metrics clip_text and clip_frame: a published one (`variant`) or a saved `folder`."""

    variant: Literal["openai-vit-b-32"] | None = Field(None, description="published model; fetched once (0.6 GB)")
    checkpoint: str | None = Field(None, description="file with the variant's weights, instead of fetching them")
    folder: str | None = Field(None, description="saved model, such as the embedded one, instead of a variant")
    batch: int = Field(64, ge=1, le=4096, description="frames at a time")

    @model_validator(mode="after")
    def _names_one_model(self) -> Self:
        if (self.variant is None) == (self.folder is None):
            found = "neither" if self.variant is None else "both"
            raise ValueError(f"needs either 'variant' (openai-vit-b-32) or 'folder', found {found}")
        if self.checkpoint is not None and self.variant is None:
            raise ValueError("'checkpoint' needs 'variant', which says what model the file holds")
        return self


class Met3rScoring(Section):
    """What the metric met3r is computed with: geometry of a pair, image features, and how they are upsampled."""

    geometry: Literal["stereo", "raft", "dust3r", "mast3r"] = Field(
        "stereo", description="stereo: the pair's own disparity, no weights, only for rectified pairs"
    )
    geometry_checkpoint: str | None = Field(
        None, description="official file of raft, dust3r (2.3 GB) or mast3r (2.8 GB); empty: fetched once"
    )
    features: Literal["dinov2", "dino16"] = Field("dinov2", description="dinov2: any DINOv2-style model of torch.hub")
    hub: str = Field(
        "facebookresearch/dinov2:7764ea0f912e53c92e82eb78a2a1631e92725fc8",
        description="torch.hub repository: owner/name:commit, or a local folder with a hubconf.py",
    )
    entry: str = Field("dinov2_vits14", description="of the repository")
    feature_checkpoint: str | None = Field(
        None,
        description="file with the features' weights; empty: fetched once, or by 'hub' itself if it is another's than "
        "DINOv2's",
    )
    upsampler: Literal["featup", "bilinear", "nearest", "bicubic"] = Field("bilinear", description="of the features")
    featup_checkpoint: str | None = Field(
        None, description="FeatUp's dino16_jbu_stack_cocostuff.ckpt, or dinov2_...; empty: fetched once"
    )
    featup_norm: bool = Field(True, description="the file has a norm over channels; those in FeatUp's no_norm do not")
    shorter_side: int | None = Field(
        None,
        ge=16,
        le=4096,
        description="px, to which frames are brought; both sides are then rounded to valid multiples",
    )
    raster_side: int = Field(256, ge=16, le=2048, description="px, of the image that dust3r's or mast3r's points give")
    radius: float = Field(0.01, gt=0, le=1, description="of a point; the raster reaches from -1 to 1")
    points_per_pixel: int = Field(10, ge=1, le=100, description="nearest points that a pixel blends")
    batch: int = Field(8, ge=1, le=1024, description="pairs at a time; memory grows with it and with the frames")


class Scoring(Section):
    """Networks that metrics run."""

    clip: ClipScoring | None = Field(None, description="for clip_text and clip_frame")
    met3r: Met3rScoring | None = Field(None, description="for met3r")
