"""A DynamiCrafter of tiny size, and the official checkpoint that it would have."""

from dataclasses import replace

import torch
from diffusers import AutoencoderKL
from dynamicrafter_goldens import named_tensor, read_case

from stereozero.backbones.dynamicrafter import VARIANTS, ClipConditioner, Modules, Resampler, VideoUNet

FRAMES = 4
VARIANT = replace(VARIANTS["512"], height=32, width=48, frames=FRAMES)
_UNET = {
    "model_channels": 32,
    "channel_mult": (1, 2),
    "num_res_blocks": 1,
    "attention_resolutions": (2, 1),
    "num_head_channels": 8,
    "context_dim": 32,
}
_RESAMPLER = {"dim": 32, "depth": 2, "dim_head": 8, "heads": 3, "embedding_dim": 32, "output_dim": 32}


def build_modules() -> Modules:
    """Networks that fit together: UNet, CLIP and VAE as in the golden cases, with untrained weights."""
    clip = read_case("clip_tiny")[0]["constructor_args"]["open_clip_CLIP"]
    return Modules(
        unet=VideoUNet(**_UNET),
        resampler=Resampler(**_RESAMPLER, video_length=FRAMES),
        vae=AutoencoderKL(
            block_out_channels=(64, 128, 128),
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            layers_per_block=1,
            latent_channels=4,
        ),
        conditioner=ClipConditioner(**{name: clip[name] for name in ("embed_dim", "vision_cfg", "text_cfg")}),
    )


def official_tensors() -> dict[str, torch.Tensor]:
    """Named tensors under the official keys, leftovers and schedule buffers included.

    The golden Resampler is not of a size that fits the golden UNet, so its shapes are taken from the module.
    """
    unet, vae, clip = (read_case(name)[0] for name in ("unet_tiny_512", "vae_tiny", "clip_tiny"))
    resampler = Resampler(**_RESAMPLER, video_length=FRAMES).state_dict()
    groups = {
        "model.diffusion_model.": unet["weights"],
        "first_stage_model.": vae["weights"],
        "cond_stage_model.": clip["weights_text"],
        "embedder.": clip["weights_image"],
        "image_proj_model.": {name: list(value.shape) for name, value in resampler.items()},
    }
    tensors = {prefix + key: named_tensor(key, shape) for prefix, keys in groups.items() for key, shape in keys.items()}
    return tensors | {"betas": torch.zeros(1000), "scale_arr": torch.full((1400,), 0.7)}
