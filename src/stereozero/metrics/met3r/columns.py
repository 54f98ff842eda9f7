"""MEt3R's columns and choices, without any network: what tables and configuration need to know."""

from dataclasses import dataclass

from stereozero.metrics.result import Score

VERSION = 1


@dataclass(frozen=True)
class Met3rParameters:
    """Frozen choices of the score of a video; those of the networks stand in the configuration.

    Args:
        scale: factor of the distances, as in the paper's tables.
    """

    scale: float = 100.0


DEFAULTS = Met3rParameters()
SCORES = (
    Score(
        "met3r",
        "cosine distance x 100",
        "lower",
        "MEt3R as its paper defines it, symmetric: distance of image features between the source and the target view "
        "of a frame, brought together by their geometry, mean of both directions, mean over all frames. 0 is "
        "consistent. Rewards doing nothing: a copy of the source scores about 0.",
        "met3r_x100_symmetric_all_frames",
    ),
    Score(
        "met3r_one_way",
        "cosine distance x 100",
        "lower",
        "MEt3R as its released code computes it, one direction: the target view as seen from the source view, mean "
        "over all frames.",
        "met3r_x100_from_source_all_frames",
    ),
    Score(
        "met3r_overlap",
        "percent of pixels",
        "none",
        "Share of the pixels that MEt3R compares, mean of both directions, mean over all frames; by the geometry, the "
        "others are not shown in both the source and the target view.",
    ),
)
