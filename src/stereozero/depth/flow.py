"""Optical flow between neighbouring frames: RAFT (torchvision) and DIS (OpenCV).

RAFT (Teed and Deng, ECCV 2020) is the accurate one and needs weights; DIS (Kroeger et al., ECCV 2016) needs none and
runs on the CPU. The released code uses SEA-RAFT at half resolution, which no library ships.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, get_args

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torchvision.models.optical_flow import raft_large, raft_small

from stereozero.checkpoint_file import check_keys, read_checkpoint
from stereozero.depth.estimator import check_video, resize_frames
from stereozero.errors import InputError
from stereozero.wording import suggest

RaftName = Literal["raft_large", "raft_small"]
FlowName = Literal["raft_large", "raft_small", "dis"]

_RAFT: dict[str, Callable[..., nn.Module]] = {"raft_large": raft_large, "raft_small": raft_small}
_RAFT_CELL = 8  # px of RAFT's features
_RAFT_SMALLEST = 128  # px; its correlation pyramid needs 16 cells
_DIS_SMALLEST = 16  # px; smaller frames have no scale that OpenCV could search
_DIS_FULL = 256  # px; where the shorter side has fewer, DIS goes on to full resolution


class Flow(NamedTuple):
    """Motion (dx, dy) [px] between the F frames of a clip.

    Attributes:
        forward: (F - 1, 2, H, W) float32; entry t leads from the pixels of frame t to frame t + 1.
        backward: (F - 1, 2, H, W) float32; entry t leads from the pixels of frame t + 1 to frame t.
    """

    forward: Tensor
    backward: Tensor


class FlowEstimator(Protocol):
    """A model that tells how a clip's pixels move."""

    def estimate(self, video: Tensor) -> Flow:
        """Estimate the flow between neighbouring frames.

        Args:
            video: (F, 3, H, W) RGB in [0, 1], floating point, at least one frame.

        Returns:
            The flow on the CPU, at the video's size; empty for one frame.

        Raises:
            InputError: not such a video; see :func:`~stereozero.depth.estimator.check_video`.
        """


def flow_estimator(name: str, device: str = "cpu", checkpoint: Path | None = None) -> FlowEstimator:
    """Make a flow estimator by name.

    Args:
        name: "raft_large", "raft_small" or "dis".
        device: where RAFT computes.
        checkpoint: file with RAFT's weights; "dis" needs none.

    Raises:
        InputError: an unknown name, or RAFT's weights are missing; see :class:`RaftFlow`.
    """
    if name == "dis":
        return DisFlow()
    if name not in get_args(RaftName):
        raise InputError(f"flow: there is no estimator '{name}'{suggest(name, list(get_args(FlowName)))}")
    if checkpoint is None:
        raise InputError(f"flow: {name} needs a file with its weights; take the flow 'dis', which needs none")
    return RaftFlow(name, checkpoint, device)


class DisFlow:
    """Dense inverse search on grey frames: OpenCV's medium preset, which stops at half the resolution.

    It goes on to full resolution for small frames. On the world's clips of 96 px that takes a tenth off the error; on
    those of 384 px it takes less off and four times as long.
    """

    def estimate(self, video: Tensor) -> Flow:
        """See :class:`FlowEstimator`; frames under 16 pixels are refused."""
        check_video(video)
        height, width = video.shape[-2:]
        if min(height, width) < _DIS_SMALLEST:
            raise InputError(
                f"flow: 'dis' needs frames of {_DIS_SMALLEST} x {_DIS_SMALLEST} pixels at least, these are {height} x "
                f"{width}; take 'raft_large', or larger frames"
            )
        frames = (video * 255).round().byte().movedim(1, -1).cpu().numpy()  # (F, H, W, 3)
        return _between_neighbours([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames], _search, video)


class RaftFlow:
    """torchvision's RAFT.

    Frames whose sides are no multiples of 8, or smaller than 128 pixels, are enlarged for the network; the flow comes
    back at the frames' size and in their pixels.

    Args:
        name: "raft_large" (5.3 million parameters) or "raft_small" (1 million).
        checkpoint: file with torchvision's weights of it; see :mod:`stereozero.weights`.
        device: where it computes.

    Raises:
        InputError: the file is missing or damaged, or is of another network.
    """

    def __init__(self, name: RaftName, checkpoint: Path, device: str = "cpu"):
        self.device = torch.device(device)
        self.network = _RAFT[name](weights=None)
        tensors = read_checkpoint(checkpoint)
        check_keys(checkpoint, tensors, self.network.state_dict())
        self.network.load_state_dict(tensors)
        self.network.requires_grad_(False).eval().to(self.device)

    @torch.no_grad()
    def estimate(self, video: Tensor) -> Flow:
        """See :class:`FlowEstimator`."""
        check_video(video)
        pictures = 2 * resize_frames(video.float(), *raft_size(*video.shape[-2:])) - 1  # (F, 3, h, w)
        return _between_neighbours(pictures, self._between, video)

    def _between(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the flow (2, h, w) [px] from one picture (3, h, w) to another."""
        updates = self.network(first[None].to(self.device), second[None].to(self.device))
        return updates[-1][0].cpu()


def raft_size(height: int, width: int) -> tuple[int, int]:
    """Return the size RAFT works at: at least the frames', at least 128 pixels, sides multiples of 8."""
    factor = max(1.0, _RAFT_SMALLEST / min(height, width))
    return tuple(int(np.ceil(side * factor / _RAFT_CELL)) * _RAFT_CELL for side in (height, width))


def half_size_flow(estimator: FlowEstimator, video: Tensor) -> Flow:
    """Estimate flow as the released code does for its propagation: on frames of half the size.

    Frames shrink, and the fields grow back, by taking the nearest pixel. The vectors stay those of the small frames, so
    they are half as long as the motion is.

    Args:
        estimator: what estimates.
        video: (F, 3, H, W) as for :class:`FlowEstimator`.

    Returns:
        The flow on the CPU, at the video's size, in pixels of the half.
    """
    height, width = video.shape[-2:]
    small = estimator.estimate(interpolate(video, (height // 2, width // 2)))
    return Flow(*(interpolate(field, (height, width)) for field in small))


def resize_flow(flow: Tensor, height: int, width: int) -> Tensor:
    """Resize flow (N, 2, h, w) [px] to (N, 2, height, width), its vectors with it."""
    scale = torch.tensor([width / flow.shape[-1], height / flow.shape[-2]]).reshape(2, 1, 1)
    return resize_frames(flow, height, width) * scale


def _search(first: np.ndarray, second: np.ndarray) -> Tensor:
    """Return DIS's flow (2, H, W) [px] from one grey picture (H, W) uint8 to another."""
    dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)  # a new one: it would go on from its last result
    dis.setFinestScale(0 if min(first.shape) < _DIS_FULL else 1)
    return torch.from_numpy(dis.calc(first, second, None)).movedim(-1, 0)


def _between_neighbours(pictures: list[np.ndarray] | Tensor, between: Callable[..., Tensor], video: Tensor) -> Flow:
    """Estimate the flow between each two neighbouring pictures, in both directions, at the video's size."""
    height, width = video.shape[-2:]
    fields = torch.empty(2, len(video) - 1, 2, height, width)
    for t in range(len(video) - 1):
        pair = pictures[t], pictures[t + 1]
        both = torch.stack([between(*pair), between(*reversed(pair))])  # (2, 2, h, w)
        fields[:, t] = resize_flow(both, height, width)
    return Flow(*fields)
