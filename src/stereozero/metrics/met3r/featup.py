"""FeatUp's joint bilateral upsampling of features by a guiding image (arXiv 2403.10516).

Four levels, each of which doubles the resolution: every new feature is a weighted mean of 7 x 7 old ones, and the
weights come from how alike the guidance is there and how near it lies. Behaviour and key names were learned from
mhamilton723/FeatUp (MIT); its compiled operator is a plain sum here.
"""

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

RADIUS = 3
_DIAMETER = 2 * RADIUS + 1
_FIXUP_SHARE = 0.1  # of the learned corrections, of kernels and of features
_TEMPERATURES = (1e-4, 1e4)
_LEAST_SUM = 1e-7
LEVELS = 4


class JbuStack(nn.Module):
    """Four levels of joint bilateral upsampling and a learned correction.

    Args:
        features: channels of the features.
        guidance: channels of the guiding image.
        keys: channels that the guidance is compared in.
    """

    def __init__(self, features: int, guidance: int = 3, keys: int = 32):
        super().__init__()
        for level in range(1, LEVELS + 1):
            setattr(self, f"up{level}", JbuLevel(guidance, keys))
        self.fixup_proj = nn.Sequential(nn.Dropout2d(0.2), nn.Conv2d(features, features, 1))

    def forward(self, source: Tensor, guidance: Tensor) -> Tensor:
        """Upsample sixteen-fold.

        Args:
            source: (B, C, h, w) with h, w >= 2, which reflection at the first level's border takes.
            guidance: (B, 3, H, W) in [0, 1], any size.

        Returns:
            (B, C, 16 h, 16 w).
        """
        for level in range(1, LEVELS + 1):
            source = getattr(self, f"up{level}")(source, guidance)  # (B, C, 2 h, 2 w)
        return source + _FIXUP_SHARE * self.fixup_proj(source)


class JbuLevel(nn.Module):
    """One level: twice the resolution.

    Args:
        guidance: channels of the guiding image.
        keys: channels that it is compared in.
    """

    def __init__(self, guidance: int, keys: int):
        super().__init__()
        weights = _DIAMETER**2
        self.range_temp = nn.Parameter(torch.tensor(0.0))
        self.sigma_spatial = nn.Parameter(torch.tensor(1.0))
        self.range_proj = _two_layers(guidance, keys)
        self.fixup_proj = _two_layers(guidance + weights, weights)

    def forward(self, source: Tensor, guidance: Tensor) -> Tensor:
        """Upsample (B, C, h, w) by an image (B, 3, H, W) of any size: (B, C, 2 h, 2 w)."""
        size = (2 * source.shape[2], 2 * source.shape[3])
        small = nnf.adaptive_avg_pool2d(guidance, size)  # (B, 3, 2 h, 2 w)
        enlarged = nnf.interpolate(source, size, mode="bicubic")  # (B, C, 2 h, 2 w)
        return _weighted_sum(enlarged, self.kernel(small))

    def kernel(self, guidance: Tensor) -> Tensor:
        """Return the 49 weights of every pixel of a guidance (B, 3, h, w): (B, 49, h, w)."""
        kernel = self.range_kernel(guidance) * self.spatial_kernel()  # (B, 49, h, w)
        kernel = kernel / kernel.sum(dim=1, keepdim=True).clamp(min=_LEAST_SUM)
        return kernel + _FIXUP_SHARE * self.fixup_proj(torch.cat([kernel, guidance], dim=1))

    def range_kernel(self, guidance: Tensor) -> Tensor:
        """Return how alike the guidance (B, 3, h, w) is at each of 49 neighbours; sums to 1: (B, 49, h, w)."""
        keys = self.range_proj(guidance)  # (B, K, h, w)
        likeness = torch.stack([(keys * near).sum(dim=1) for near in _neighbours(keys)], dim=1)  # (B, 49, h, w)
        return (self.range_temp.exp().clamp(*_TEMPERATURES) * likeness).softmax(dim=1)

    def spatial_kernel(self) -> Tensor:
        """Return the Gaussian of the distance of each neighbour, window from -1 to 1: (1, 49, 1, 1)."""
        steps = torch.linspace(-1, 1, _DIAMETER, device=self.sigma_spatial.device)  # (7,)
        squares = steps[:, None] ** 2 + steps**2  # (7, 7)
        return torch.exp(-squares / (2 * self.sigma_spatial**2)).view(1, -1, 1, 1)


def _two_layers(channels: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, outputs, 1), nn.GELU(), nn.Dropout2d(0.1), nn.Conv2d(outputs, outputs, 1))


def _neighbours(values: Tensor) -> list[Tensor]:
    """Views of (B, C, h, w) moved by each of the 49 offsets, row by row; borders are reflected."""
    height, width = values.shape[-2:]
    padded = nnf.pad(values, (RADIUS,) * 4, mode="reflect")  # (B, C, h + 6, w + 6)
    offsets = range(_DIAMETER)
    return [padded[..., down : down + height, right : right + width] for down in offsets for right in offsets]


def _weighted_sum(values: Tensor, kernel: Tensor) -> Tensor:
    """Sum over the 49 neighbours of (B, C, h, w), each with its weight (B, 49, h, w); one neighbour at a time."""
    total = torch.zeros_like(values)
    for index, near in enumerate(_neighbours(values)):
        total.addcmul_(near, kernel[:, index : index + 1])
    return total
