"""A saved DINOv2-style model as a local torch.hub repository: `torch.hub.load(folder, "dinov2", source="local")`."""

from pathlib import Path

from stereozero.vision_transformer import VisionTransformer, read_vit

dependencies = ["stereozero", "torch"]


def dinov2(pretrained: bool = True) -> VisionTransformer:
    """Return the model of this folder; `pretrained=False` leaves its weights untrained."""
    return read_vit(Path(__file__).parent, pretrained)
