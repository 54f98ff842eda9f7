"""RAFT (arXiv 2003.12039) of torchvision, for MEt3R by optical flow instead of geometry."""

from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as nnf
from torch import Tensor
from torchvision.models.optical_flow import RAFT, raft_large

from stereozero.checkpoint_file import check_keys, read_checkpoint
from stereozero.metrics.met3r.geometry import check_pairs


class PairRaft:
    """The large RAFT; a :class:`~stereozero.metrics.met3r.geometry.PairFlow`.

    MEt3R uses torchvision's weights C_T_SKHT_V2, published as ``raft_large_C_T_SKHT_V2-ff5fadd5.pth``.

    Attributes:
        size_factor: what height and width must be multiples of [px].
        smallest_side: what height and width must reach [px].
        network: torchvision's module, in eval mode, without gradients.
    """

    size_factor = 8
    smallest_side = 128

    def __init__(self, network: RAFT):
        self.network = network.requires_grad_(False).eval()

    @classmethod
    def from_official(cls, path: Path | str, *, device: torch.device | str = "cpu") -> Self:
        """Load torchvision's weights file.

        Raises:
            InputError: no such file; truncated, corrupted or no checkpoint at all; or keys missing, unexpected or of
                another shape (one message lists all three).
        """
        path = Path(path)
        tensors = read_checkpoint(path)
        with torch.device("meta"):
            network = raft_large(weights=None)
        check_keys(path, tensors, network.state_dict())
        network.load_state_dict({name: tensor.to(device) for name, tensor in tensors.items()}, assign=True)
        return cls(network)

    @torch.no_grad()
    def predict_flow(self, images: Tensor) -> Tensor:
        """Return the flow from view 1 to view 2 after 12 iterations: (B, 2, H, W), to the right and down [px].

        Args:
            images: (B, 2, 3, H, W) in [-1, 1].

        Raises:
            InputError: another shape, or sides that are shorter than 128 or no multiples of 8.
        """
        check_pairs(images, "RAFT", self.size_factor, self.smallest_side)
        view1, view2 = images.to(next(self.network.parameters())).unbind(1)  # (B, 3, H, W) each
        return self.network(view1, view2)[-1]


def sample_at_flow(values: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
    """Fetch view 2's values to the pixels of view 1, bilinearly; what lies outside is taken from the border.

    Args:
        values: (B, C, H, W), image or features of view 2.
        flow: (B, 2, H, W), from view 1 to view 2, to the right and down [px].

    Returns:
        (B, C, H, W), and a mask (B, 1, H, W), True where the flow ends inside view 2. The released MEt3R clamps before
        it looks, so that its own mask is True everywhere.
    """
    height, width = values.shape[-2:]
    columns = torch.arange(width, device=flow.device) + flow[:, 0]  # (B, H, W)
    rows = torch.arange(height, device=flow.device)[:, None] + flow[:, 1]  # (B, H, W)
    inside = (columns >= 0) & (columns <= width - 1) & (rows >= 0) & (rows <= height - 1)  # (B, H, W)
    scale = torch.tensor([width - 1, height - 1], device=flow.device) / 2
    grid = torch.stack([columns, rows], dim=-1) / scale - 1  # (B, H, W, 2) in [-1, 1]
    sampled = nnf.grid_sample(values, grid, padding_mode="border", align_corners=True)  # (B, C, H, W)
    return sampled, inside[:, None]
