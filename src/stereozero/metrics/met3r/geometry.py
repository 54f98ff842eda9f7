"""What MEt3R asks of a network that knows the geometry of a pair of views.

There are two kinds. A :class:`PairGeometry` (DUSt3R, MASt3R) sees a point of space behind every pixel of both views;
the score renders these points. A :class:`PairFlow` (RAFT) sees where each pixel of view 1 lies in view 2; the score
samples view 2 there. Both take what MEt3R takes: pairs of RGB images in [-1, 1].
"""

from typing import NamedTuple, Protocol

from torch import Tensor

from stereozero.errors import InputError


class PointMap(NamedTuple):
    """The points seen by one view's pixels.

    ``points`` are in the camera frame of the pair's first view, x to the right, y down, z ahead (as in OpenCV), in a
    unit of the network's choice. ``confidence`` is at least 1.
    """

    points: Tensor  # (B, H, W, 3)
    confidence: Tensor  # (B, H, W)


PairPoints = tuple[PointMap, PointMap]  # of view 1 and of view 2, both in the frame of view 1


class PairGeometry(Protocol):
    """A network that sees the points of both views.

    Attributes:
        size_factor: what height and width must be multiples of [px].
    """

    size_factor: int

    def predict_pair(self, images: Tensor) -> PairPoints:
        """Return the points of view 1 and of view 2, both in the frame of view 1, without gradients.

        Args:
            images: (B, 2, 3, H, W) in [-1, 1].

        Raises:
            InputError: another shape, or sides that are no multiples of ``size_factor``.
        """

    def predict_both_ways(self, images: Tensor) -> tuple[PairPoints, PairPoints]:
        """Return :meth:`predict_pair` of the images and of the images with the two views exchanged.

        Cheaper than two calls: each image is encoded once.
        """


class PairFlow(Protocol):
    """A network that sees how the pixels of view 1 move to view 2.

    Attributes:
        size_factor: what height and width must be multiples of [px].
        smallest_side: what height and width must reach [px].
    """

    size_factor: int
    smallest_side: int

    def predict_flow(self, images: Tensor) -> Tensor:
        """Return the flow from view 1 to view 2 without gradients: (B, 2, H, W), to the right and down [px].

        Args:
            images: (B, 2, 3, H, W) in [-1, 1].

        Raises:
            InputError: another shape, or sides that are too short or no multiples of ``size_factor``.
        """


def check_pairs(images: Tensor, network: str, size_factor: int, smallest_side: int = 1) -> None:
    """Check a batch of image pairs.

    Args:
        images: what has to be (B, 2, 3, H, W).
        network: its name, for the message.
        size_factor, smallest_side: what is asked of H and W [px].

    Raises:
        InputError: another shape or size.
    """
    shape = list(images.shape)
    if images.ndim != 5 or shape[1:3] != [2, 3]:
        raise InputError(f"{network} takes pairs of RGB images, (B, 2, 3, H, W), not a tensor of shape {shape}")
    height, width = shape[3:]
    if height % size_factor or width % size_factor or min(height, width) < smallest_side:
        at_least = f" of at least {smallest_side}" if smallest_side > size_factor else ""
        raise InputError(
            f"{network} takes images whose sides are multiples of {size_factor}{at_least}, not {width} x {height}; "
            "resize or crop them first"
        )
