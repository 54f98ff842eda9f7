"""Names of parameters in the official checkpoints, and where each belongs here.

An official file has seven groups: the UNet, the VAE, the text encoder, the image encoder, the Resampler, leftovers of
the text side in the image encoder, and the training schedule's buffers. The last two carry nothing that is needed.
Source: the key lists in tests/golden/dynamicrafter, checkpoint_*.json.gz, and clip_conditioning.json.
"""

import re
from typing import NamedTuple

SCHEDULE_BUFFERS = frozenset(
    {
        "betas",
        "alphas_cumprod",
        "alphas_cumprod_prev",
        "sqrt_alphas_cumprod",
        "sqrt_one_minus_alphas_cumprod",
        "log_one_minus_alphas_cumprod",
        "sqrt_recip_alphas_cumprod",
        "sqrt_recipm1_alphas_cumprod",
        "posterior_variance",
        "posterior_log_variance_clipped",
        "posterior_mean_coef1",
        "posterior_mean_coef2",
        "scale_arr",
    }
)
LEFTOVERS = frozenset(
    f"embedder.model.{name}"
    for name in (
        "token_embedding.weight",
        "positional_embedding",
        "text_projection",
        "logit_scale",
        "ln_final.weight",
        "ln_final.bias",
    )
)
_VAE_RENAMES = (
    (r"\.down\.(\d+)\.block\.(\d+)\.", r".down_blocks.\1.resnets.\2."),
    (r"\.down\.(\d+)\.downsample\.", r".down_blocks.\1.downsamplers.0."),
    (r"\.mid\.block_1\.", ".mid_block.resnets.0."),
    (r"\.mid\.block_2\.", ".mid_block.resnets.1."),
    (r"\.mid\.attn_1\.norm\.", ".mid_block.attentions.0.group_norm."),
    (r"\.mid\.attn_1\.([qkv])\.", r".mid_block.attentions.0.to_\1."),
    (r"\.mid\.attn_1\.proj_out\.", ".mid_block.attentions.0.to_out.0."),
    (r"\.nin_shortcut\.", ".conv_shortcut."),
    (r"coder\.norm_out\.", "coder.conv_norm_out."),
)


class Target(NamedTuple):
    """Where a parameter belongs: "unet", "vae", "conditioner" or "resampler", and its name in that module."""

    component: str
    name: str


def target_of(key: str, vae_levels: int) -> Target | None:
    """Return where the official parameter ``key`` belongs; None if it is of no group that is loaded."""
    for prefix, component, rename in _GROUPS:
        if key.startswith(prefix):
            return Target(component, rename(key.removeprefix(prefix), vae_levels))
    return None


def official_name(target: Target) -> str:
    """Return the official key of a parameter, for messages. The VAE's keeps diffusers' name behind the prefix."""
    component, name = target
    if component == "unet":
        return "model.diffusion_model." + name.replace("temporal_conv", "temopral_conv")
    if component == "conditioner":
        return ("embedder." if name.startswith("model.visual.") else "cond_stage_model.") + name
    return {"vae": "first_stage_model.", "resampler": "image_proj_model."}[component] + name


def is_ignored(key: str) -> bool:
    """Whether ``key`` is known and carries nothing that is needed."""
    return key in SCHEDULE_BUFFERS or key in LEFTOVERS


def vae_name(key: str, levels: int) -> str:
    """Translate a ``first_stage_model`` key (prefix removed) to diffusers' AutoencoderKL with ``levels`` levels.

    The official decoder counts its levels from the image, diffusers from the latent.
    """
    if match := re.match(r"decoder\.up\.(\d+)\.(.*)", key):
        block, rest = levels - 1 - int(match[1]), match[2]
        rest = re.sub(r"^block\.", "resnets.", rest)
        rest = re.sub(r"^upsample\.", "upsamplers.0.", rest)
        key = f"decoder.up_blocks.{block}.{rest}"
    for pattern, replacement in _VAE_RENAMES:
        key = re.sub(pattern, replacement, key)
    return key


def unet_name(key: str) -> str:
    """Translate a UNet key (prefix removed); the 256 file's ``framestride_embed`` is the others' ``fps_embedding``."""
    return key.replace("temopral_conv", "temporal_conv").replace("framestride_embed", "fps_embedding")


_GROUPS = (
    ("model.diffusion_model.", "unet", lambda name, levels: unet_name(name)),
    ("first_stage_model.", "vae", vae_name),
    ("cond_stage_model.model.", "conditioner", lambda name, levels: f"model.{name}"),
    ("embedder.model.visual.", "conditioner", lambda name, levels: f"model.visual.{name}"),
    ("image_proj_model.", "resampler", lambda name, levels: name),
)
