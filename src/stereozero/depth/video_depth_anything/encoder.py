"""DINOv2's vision transformer (arXiv 2304.07193) as a depth model uses it: feature maps from four of its blocks."""

from collections.abc import Sequence

from torch import Tensor

from stereozero.vision_transformer import VisionTransformer, VitConfig

PATCH = 14  # px
_TRAINED_AT = 518  # px, the image side that the position table is for


class Encoder(VisionTransformer):
    """ViT with patches of 14 pixels, LayerScale and no register tokens.

    Args:
        width: channels of the tokens.
        blocks: number of them.
        heads: of the attention.
        taps: indices of the blocks whose tokens are returned.
    """

    def __init__(self, width: int, blocks: int, heads: int, taps: Sequence[int]):
        super().__init__(VitConfig(_TRAINED_AT, PATCH, width, blocks, heads, mask_token=False))
        self.taps = tuple(taps)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the normalised patch tokens after each tapped block as maps.

        Args:
            images: (N, 3, H, W), normalised with ImageNet's mean and standard deviation; sides multiples of 14.

        Returns:
            One (N, width, H / 14, W / 14) for each tap.
        """
        size = (images.shape[-2] // PATCH, images.shape[-1] // PATCH)
        tokens, maps = self.embed(images), []  # (N, 1 + h * w, width)
        for index, block in enumerate(self.blocks):
            tokens = block(tokens)  # (N, 1 + h * w, width)
            if index in self.taps:
                maps.append(self.norm(tokens)[:, 1:].transpose(1, 2).unflatten(2, size))
        return maps
