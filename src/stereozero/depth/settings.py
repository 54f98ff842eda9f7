"""The settings of depth variants that are estimated or derived; this module is light, the configuration imports it."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from stereozero.stereo.settings import Step

ROBUST = (0.1, 99.9)
"""Percentiles of the clip that become 0 and 1: one pixel in a thousand may be an outlier at each end."""

SCHEDULE_STEPS = 50
"""Of the schedule in which a dissolve step is counted."""

LAYOUT_KEPT = 0.9
"""Share of a depth's variance that adaptive dissolving leaves at least."""


def _in_order(percentiles: tuple[float, float]) -> tuple[float, float]:
    low, high = percentiles
    if low >= high:
        raise ValueError(f"are {low:g} and {high:g}; the first must be the smaller one")
    return percentiles


def _is_dissolve_step(value: Any) -> Any:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if value in (None, "row", "adaptive") or (is_number and 1 <= value <= SCHEDULE_STEPS):
        return value
    raise ValueError(
        f"is {value!r}; a whole number from 1 (hardly any) to {SCHEDULE_STEPS} (most) is right, 'adaptive' for what "
        "suits the clip, or 'row' for the manifest's dissolve_step; leave the key out for depth that is not dissolved"
    )


_Percent = Annotated[float, Field(ge=0, le=100)]
Percentiles = Annotated[tuple[_Percent, _Percent], AfterValidator(_in_order)]
DissolveStep = Annotated[int | Literal["row", "adaptive"] | None, BeforeValidator(_is_dissolve_step)]
Dtype = Literal["fp32", "fp16", "bf16"]

_PERCENTILES = Field(ROBUST, description="of the clip's inverse depth that become 0 and 1; [0, 100]: its extremes")
_DTYPE = Field("fp32", description="of the networks")


class _DepthSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _NetworkDepth(_DepthSettings):
    rendered: bool = Field(True, description="false: not for rendered clips, whose true depth is known")
    half_range: bool = Field(
        False, description="true: the networks see frames in [0.5, 1] instead of [0, 1], as in the released code"
    )


class DepthCrafterDepth(_NetworkDepth):
    """DepthCrafter: the published networks, fetched once, copies of them (`unet`, `svd`), or a saved `folder`."""

    estimator: Literal["depthcrafter"]
    folder: str | None = Field(None, description="saved model, such as the embedded one, instead of the published")
    unet: str | None = Field(None, description="copy of tencent/DepthCrafter, instead of fetching it (3 GB)")
    svd: str | None = Field(
        None, description="copy of stabilityai/stable-video-diffusion-img2vid-xt, instead of fetching parts (1.5 GB)"
    )
    steps: int = Field(5, ge=1, le=1000, description="of the sampler")
    guidance: float = Field(1.2, ge=1, le=100, description="classifier-free guidance; 1 is none")
    noise_augmentation: float = Field(0.02, ge=0, le=10, description="noise added to the video before it is encoded")
    window: int = Field(110, ge=1, le=1024, description="frames that are estimated at once")
    overlap: int = Field(25, ge=0, le=1023, description="frames that neighbouring windows share")
    frames_at_once: int = Field(8, ge=1, le=1024, description="in one call of the VAE, whose decoder looks across them")
    dtype: Dtype = Field("fp32", description="of the networks; the VAE stays fp32")
    percentiles: Percentiles | None = Field(
        ROBUST, description="of the clip's depth that become 0 and 1; null: what is decoded, as in the released code"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.folder and (self.unet or self.svd):
            raise ValueError("'folder' holds all networks; name either it or copies of the published ones, not both")
        if self.overlap >= self.window:
            raise ValueError(f"'overlap' is {self.overlap}; it must be smaller than 'window', which is {self.window}")
        return self


class DepthProDepth(_NetworkDepth):
    """Depth Pro, frame by frame: metric depth and focal length. Fetched once (1.9 GB), or a copy in `folder`."""

    estimator: Literal["depth-pro"]
    folder: str | None = Field(None, description="copy of apple/DepthPro-hf, instead of fetching it")
    frames_at_once: int = Field(1, ge=1, le=1024, description="in one call; fewer take less memory")
    dtype: Dtype = _DTYPE
    percentiles: Percentiles = _PERCENTILES


class DepthAnythingDepth(_NetworkDepth):
    """Depth Anything, frame by frame: a published model (`variant`), fetched once, or a saved `folder`."""

    estimator: Literal["depth-anything"]
    variant: Literal["v1-large", "v2-small", "v2-base", "v2-large"] | None = Field(None, description="published model")
    folder: str | None = Field(None, description="saved model, instead of a variant")
    frames_at_once: int = Field(4, ge=1, le=1024, description="in one call; fewer take less memory")
    dtype: Dtype = _DTYPE
    percentiles: Percentiles = _PERCENTILES

    @model_validator(mode="after")
    def _names_one_model(self) -> Self:
        if (self.variant is None) == (self.folder is None):
            found = "neither" if self.variant is None else "both"
            raise ValueError(
                f"needs either 'variant' (v1-large, v2-small, v2-base, v2-large) or 'folder', found {found}"
            )
        return self


class VideoDepthAnythingDepth(_NetworkDepth):
    """Video Depth Anything: the whole clip, in windows of 32 frames. Fetched once, or a copy as `checkpoint`."""

    estimator: Literal["video-depth-anything"]
    variant: Literal["vits", "vitl"] = Field(description="size of the network: 0.1 GB or 1.5 GB")
    checkpoint: str | None = Field(None, description="file with the variant's weights, instead of fetching them")
    short_side: int = Field(518, ge=14, le=4102, multiple_of=14, description="px, of the frames the network sees")
    dtype: Dtype = Field("fp32", description="of the network's computation")
    percentiles: Percentiles = _PERCENTILES


class DerivedDepth(_DepthSettings):
    """Another variant's depth, changed in this order: propagated along the motion, dissolved, downsampled."""

    estimator: Literal["derived"]
    depth: str = Field(description="name of the variant in 'depths' that is changed")
    propagate: Literal["none", "paper", "reference"] = Field(
        "none", description="average along the motion (Eq. 12), or forward along half of it as the released code does"
    )
    flow: Literal["raft_large", "raft_small", "dis"] = Field(
        "raft_large", description="motion for 'propagate'; dis needs no weights, RAFT's are fetched once (20 or 4 MB)"
    )
    dissolve: DissolveStep = Field(
        None,
        description="step t of Eq. 5, 1 to 50; a row's dissolve_step overrides it. 'row': only rows that have one; "
        "'adaptive': each clip as far as its layout stays",
    )
    agreement: float = Field(
        LAYOUT_KEPT, gt=0, le=1, description="with 'dissolve: adaptive': share of the depth's variance that must stay"
    )
    dissolver: str | None = Field(
        None, description="depthcrafter variant that dissolves; empty: 'depth', if it is one itself"
    )
    downsample: Literal[1, 2, 4] = Field(1, description="average over so many pixels' width and height, and back up")
    percentiles: Percentiles | None = Field(
        ROBUST, description="that become 0 and 1 after propagating or dissolving; null: what comes out, as it is"
    )

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if self.propagate == "none" and self.dissolve is None and self.downsample == 1:
            raise ValueError("changes nothing: give at least one of 'propagate', 'dissolve' and 'downsample'")
        if self.dissolver is not None and self.dissolve is None:
            raise ValueError("'dissolver' is given without 'dissolve', the step to which it dissolves")
        if self.agreement != LAYOUT_KEPT and self.dissolve != "adaptive":
            raise ValueError("'agreement' is given without 'dissolve: adaptive', which it belongs to")
        return self

    @property
    def crafter(self) -> str:
        """Name of the depthcrafter variant that dissolves."""
        return self.dissolver or self.depth


class ProgressiveDepth(_DepthSettings):
    """Several variants' depths, the coarsest first: the sampler warps by finer ones as the noise falls."""

    estimator: Literal["progressive"]
    levels: tuple[tuple[Step, str], ...] = Field(
        min_length=2,
        description="[sampling step of 50, name of the variant in 'depths' that is taken from it on] each; other "
        "methods than 'ours' take the last",
    )

    @field_validator("levels")
    @classmethod
    def _begin_at_0_and_rise(cls, levels: tuple[tuple[int, str], ...]) -> tuple[tuple[int, str], ...]:
        steps = [step for step, _ in levels]
        if steps[0] != 0 or steps != sorted(set(steps)):
            raise ValueError(f"begin at the steps {', '.join(map(str, steps))}; 0 first and then rising ones are right")
        return levels


EstimatedDepth = DepthCrafterDepth | DepthProDepth | DepthAnythingDepth | VideoDepthAnythingDepth
"""Depth that a network estimates from the video."""
