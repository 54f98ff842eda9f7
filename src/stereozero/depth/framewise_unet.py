"""DepthCrafter's U-Net: Stable Video Diffusion's, told with each frame what that frame shows.

Facts were learned from Tencent/DepthCrafter (its licence is for research only; nothing is copied) and from diffusers'
UNetSpatioTemporalConditionModel, whose weights and config.json this class reads.
"""

from diffusers import UNetSpatioTemporalConditionModel
from torch import Tensor, nn


class FramewiseUNet(UNetSpatioTemporalConditionModel):
    """diffusers' class with one context token a frame, where that has the same tokens for all frames.

    Spatial cross-attention sees the frame's own token; temporal cross-attention sees the first frame's.
    """

    def forward(self, sample: Tensor, timestep: Tensor, frame_tokens: Tensor, time_ids: Tensor) -> Tensor:
        """Predict the velocity.

        Args:
            sample: (B, F, 2 C, h, w): scaled noisy latents, then the video's latents. h and w must be halved by every
                level without a rest.
            timestep: (B,) log(sigma) / 4.
            frame_tokens: (B, F, D), CLIP embeddings.
            time_ids: (B, 3): frames a second, motion bucket, noise augmentation.

        Returns:
            (B, F, C, h, w).
        """
        batch, frames = sample.shape[:2]
        shared = {
            "temb": self._embed_time(timestep, time_ids, sample).repeat_interleave(frames, dim=0),  # (B * F, E)
            "image_only_indicator": sample.new_zeros(batch, frames),  # (B, F): 0 is a frame of a video
        }
        context = frame_tokens.flatten(0, 1).unsqueeze(1)  # (B * F, 1, D)
        hidden = self.conv_in(sample.flatten(0, 1))  # (B * F, width, h, w)
        skips = [hidden]
        for block in self.down_blocks:
            hidden, outputs = block(hidden, **shared, **_context_of(block, context))
            skips.extend(outputs)
        hidden = self.mid_block(hidden, encoder_hidden_states=context, **shared)
        for block in self.up_blocks:
            first = len(skips) - len(block.resnets)
            joined, skips = tuple(skips[first:]), skips[:first]
            hidden = block(hidden, res_hidden_states_tuple=joined, **shared, **_context_of(block, context))
        velocity = self.conv_out(self.conv_act(self.conv_norm_out(hidden)))  # (B * F, C, h, w)
        return velocity.unflatten(0, (batch, frames))

    def _embed_time(self, timestep: Tensor, time_ids: Tensor, like: Tensor) -> Tensor:
        # (B,), (B, 3) -> (B, E)
        waves = self.time_proj(timestep).to(like.dtype)  # (B, width)
        id_waves = self.add_time_proj(time_ids.flatten()).unflatten(0, time_ids.shape).flatten(1).to(like.dtype)
        return self.time_embedding(waves) + self.add_embedding(id_waves)


def _context_of(block: nn.Module, context: Tensor) -> dict[str, Tensor]:
    return {"encoder_hidden_states": context} if getattr(block, "has_cross_attention", False) else {}
