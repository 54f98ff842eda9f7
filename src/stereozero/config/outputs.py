"""What a run leaves to be watched and read: files for players, and tables."""

from typing import Annotated, Literal

from pydantic import Field

from stereozero.config.section import Section

Format = Literal[
    "full-sbs",
    "half-sbs",
    "full-tb",
    "half-tb",
    "anaglyph-dubois",
    "anaglyph-colour",
    "anaglyph-half-colour",
    "anaglyph-grey",
]


class Delivery(Section):
    """Files for players and headsets."""

    formats: list[Format] = Field(
        ["full-sbs", "half-sbs", "half-tb", "anaglyph-dubois"], description="files to write for each clip and method"
    )
    behind_screen: float = Field(
        2 / 3, ge=0, le=1, description="share of the clip's disparity range that is put behind the screen"
    )


class Tables(Section):
    """How scores are summarised."""

    bootstrap_samples: int = Field(2000, ge=100, le=100_000, description="resamples of the clips")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="of the intervals")
    compare_with: str | None = Field(
        None, description="method that paired.csv subtracts; empty: 'ours', else the first that is no control"
    )


class DepthTables(Section):
    """The paper's tables that compare depths: the methods that make their rows."""

    table3: list[str] = Field([], description="estimators")
    table4: list[str] = Field([], description="dissolve steps, simple and complex scenes apart")
    table6: list[str] = Field([], description="resolutions")


class WarpTiming(Section):
    """Table 5: what is timed."""

    sizes: list[Annotated[int, Field(ge=8, le=4096)]] = Field(
        [128, 512, 1024], min_length=1, description="width = height, pixels"
    )
    repeats: int = Field(20, ge=1, le=1000, description="timed executions")
    loop_repeats: int = Field(1, ge=1, le=100, description="for the nested loop, which takes minutes at 1024")
