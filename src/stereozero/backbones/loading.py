"""From the config's generator to a model that is ready to sample."""

from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from stereozero.backbones.dynamicrafter import DynamiCrafter
from stereozero.backbones.variants import variant_named
from stereozero.config.generator import AnyGenerator
from stereozero.device import explaining_lack_of_memory

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def load_backbone(generator: AnyGenerator, device: str, checkpoint: Path | None) -> DynamiCrafter:
    """Load the configured model.

    Args:
        generator: which model, and how it is to use memory.
        device: where it computes.
        checkpoint: the official variant's file; None for a saved folder.

    Raises:
        InputError: the file or folder does not hold the model.
    """
    home = "cpu" if generator.offload else device
    dtype = DTYPES[generator.dtype]
    if checkpoint is None:
        backbone = DynamiCrafter.from_pretrained(generator.folder, device=home, dtype=dtype)
    else:
        variant = variant_named(generator.variant)
        backbone = DynamiCrafter.from_official(checkpoint, variant, device=home, dtype=dtype)
    if generator.dynamic_rescale is not None:
        backbone.schedule = replace(backbone.variant, base_scale=generator.dynamic_rescale).noise_schedule()
    backbone.frames_at_once = generator.vae_frames
    if generator.offload and device != home:
        backbone.offload_to(device)
    if generator.compile:
        backbone.compile()
    return backbone


def explaining_memory(generator: AnyGenerator) -> AbstractContextManager[None]:
    """Turn an allocation that failed inside the block into a message that names what takes less.

    Raises:
        StageError: memory of the device or the host ran out.
    """
    return explaining_lack_of_memory(partial(_less_memory, generator))


def _less_memory(generator: AnyGenerator, where: str) -> str:
    knobs = [
        ("dtype: bf16", generator.dtype == "fp32"),
        ("guidance_in_one_batch: false", generator.guidance_in_one_batch),
        ("vae_frames: 1", generator.vae_frames > 1),
        ("offload: true", not generator.offload and where == "the GPU"),
    ]
    left = [f"'{knob}'" for knob, helps in knobs if helps]
    return f"set {', '.join(left)} in 'generator', in this order" if left else "take a smaller variant or a larger GPU"
