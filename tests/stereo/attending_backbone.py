"""The part of a backbone that the sampler asks for, around two attention modules: quick, and everything is counted."""

import torch
from torch import Tensor, nn

from stereozero.backbones.dynamicrafter.attention import Attention
from stereozero.diffusion.backbone import Conditioning, GuidancePair
from stereozero.diffusion.schedule import NoiseSchedule

CHANNELS = 4
SHAPE = (CHANNELS, 2, 3, 8)  # C, F, h, w
QUERY_BYTES = 2 * 2 * 4 * CHANNELS * 2 * 3 * 8  # of one evaluation: two modules, two branches, float32


class AttendingBackbone(nn.Module):
    """Attention to the condition, then self-attention over all positions of a clip; seeded weights.

    Attributes:
        samples: what was evaluated so far, a guidance pair counts two.
    """

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.own = Attention(CHANNELS, heads=1, head_channels=CHANNELS)
        self.given = Attention(CHANNELS, heads=1, head_channels=CHANNELS, context_dim=CHANNELS)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.5)
        self.schedule = NoiseSchedule.scaled_linear("v_prediction", zero_terminal_snr=True)
        self.samples = 0

    def attentions(self) -> dict[str, Attention]:
        """In execution order."""
        return {"given": self.given, "own": self.own}

    @torch.no_grad()
    def predict(self, latents: Tensor, timestep: int, conditioning: Conditioning) -> Tensor:
        """A velocity (B, C, F, h, w)."""
        self.samples += len(latents)
        tokens = latents.flatten(2).transpose(1, 2)  # (B, F * h * w, C)
        tokens = tokens + self.given(tokens, conditioning.tensors["text"])
        tokens = tokens + self.own(tokens)
        return tokens.transpose(1, 2).unflatten(2, latents.shape[2:]).tanh()


def condition(seed: int) -> GuidancePair:
    """A made-up condition of one clip, another for each seed; the unconditional branch is the same for all."""
    numbers = (seed, 999, 1000 + seed)
    texts = [torch.randn(1, 5, CHANNELS, generator=torch.Generator().manual_seed(number)) for number in numbers]
    return GuidancePair(*(Conditioning({"text": text}) for text in texts))
