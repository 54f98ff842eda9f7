"""Depth variants: where a clip's disparity comes from. Settings of estimators lie with them, in `depth.settings`."""

from typing import Annotated, Literal

from pydantic import Field

from stereozero.config.section import Section
from stereozero.depth.settings import DerivedDepth, EstimatedDepth, ProgressiveDepth


class GivenDepth(Section):
    """The disparity file or video that the manifest names for the clip."""

    estimator: Literal["given"]
    invert: bool = Field(False, description="the file's 0 is nearest")


class WorldDepth(Section):
    """The renderer's own, exact disparity; for clips of the synthetic world."""

    estimator: Literal["world"]


AnyDepth = GivenDepth | WorldDepth | EstimatedDepth | DerivedDepth | ProgressiveDepth
Depth = Annotated[AnyDepth, Field(discriminator="estimator")]
