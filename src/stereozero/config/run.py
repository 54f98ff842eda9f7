"""All of a run's sections together."""

from typing import Literal, get_args

from pydantic import Field

from stereozero.config.depths import Depth
from stereozero.config.generator import AnyGenerator, VideoFormat
from stereozero.config.methods import Method
from stereozero.config.outputs import Delivery, DepthTables, Tables, WarpTiming
from stereozero.config.scoring import NETWORK_METRICS, Metric, Metrics, Scoring
from stereozero.config.section import FolderForRules, Name, Section, Strength


class Config(Section):
    """One run."""

    run: Name = Field(description="results lie under <results>/<run>/")
    results: FolderForRules = Field("results", description="folder, relative to where Snakemake is started")
    manifest: str = Field(description="CSV file with the clips")
    published: FolderForRules = Field("benchmark/published", description="folder with the paper's tables")
    seed: int = Field(123, ge=0, lt=2**63, description="of everything random; rows may have their own")
    strength: Strength = 4.0
    batch_size: int = Field(
        16,
        ge=1,
        le=10_000,
        description="clips a job, on average; more, if there would be over 64 batches",
    )
    discard_latents: bool = Field(
        False, description="delete trajectories and other latents after their last use; what needs them makes them anew"
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: CUDA where there is any")
    weights_folder: str | None = Field(None, description="for fetched weights; default: the Hugging Face cache")
    video: VideoFormat = VideoFormat()
    generator: AnyGenerator | None = Field(None, description="makes videos of images; without it they stay images")
    depths: dict[Name, Depth] = Field(default={}, validate_default=True)
    methods: dict[Name, Method] = Field(default={}, validate_default=True)
    metrics: Metrics = Field(
        [name for name in get_args(Metric) if name not in NETWORK_METRICS],
        description="each where a clip has what it needs; disparity must be among them",
    )
    scoring: Scoring = Scoring()
    delivery: Delivery = Delivery()
    tables: Tables = Tables()
    ablations: dict[Name, list[str]] = Field(
        {}, description="methods that one table and picture compare; the last is what the others are subtracted from"
    )
    depth_tables: DepthTables = DepthTables()
    warp_timing: WarpTiming = WarpTiming()
