"""What every layer of the UNet is given besides its features."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class StepInputs:
    """Conditions of one UNet evaluation.

    Attributes:
        embedding: (B, E) of timestep and frame stride.
        text: (B, Lt, D) text tokens, one set a clip.
        image: (B, Li, D) image tokens shared by the clip's frames, or (B * F, Li, D) for one set a frame.
        frames: F.
    """

    embedding: Tensor
    text: Tensor
    image: Tensor
    frames: int

    def as_video(self, features: Tensor) -> Tensor:
        """View (B * F, C, h, w) as (B, C, F, h, w)."""
        return features.unflatten(0, (-1, self.frames)).transpose(1, 2)
