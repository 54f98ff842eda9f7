"""Classifier-free guidance: how several predictions of one network are combined."""

import torch
from torch import Tensor

from stereozero.diffusion.backbone import Backbone, Conditioning, GuidancePair


def guided_prediction(
    backbone: Backbone,
    latents: Tensor,
    timestep: int,
    pair: GuidancePair,
    scale: float,
    *,
    rescale: float = 0.0,
    one_batch: bool = True,
) -> Tensor:
    """Evaluate both branches of classifier-free guidance and combine them; scale 1 evaluates only the conditional one.

    Args:
        backbone: the model.
        latents: (B, C, F, h, w) at the noise level of ``timestep``.
        timestep: training timestep.
        pair: conditions of B clips.
        scale: see :func:`guide`.
        rescale: see :func:`rescale_guidance`.
        one_batch: evaluate both branches in one call (faster on a GPU) or one after the other (half the memory). The
            result is the same up to rounding.

    Returns:
        (B, C, F, h, w), like ``latents``.
    """
    if scale == 1:
        return backbone.predict(latents, timestep, pair.conditional)
    if one_batch:
        both = Conditioning.join([pair.conditional, pair.unconditional])
        conditional, unconditional = backbone.predict(torch.cat([latents, latents]), timestep, both).chunk(2)
    else:
        conditional = backbone.predict(latents, timestep, pair.conditional)
        unconditional = backbone.predict(latents, timestep, pair.unconditional)
    return rescale_guidance(guide(conditional, unconditional, scale), conditional, rescale)


def guide(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """Return ``unconditional + scale * (conditional - unconditional)``; scale 1 is the conditional prediction."""
    return unconditional + scale * (conditional - unconditional)


def guide_image_and_text(
    conditional: Tensor, image_only: Tensor, unconditional: Tensor, text_scale: float, image_scale: float
) -> Tensor:
    """Guide towards the image and towards the text with a strength of their own.

    ``image_only`` is the prediction with the empty prompt and the clip's image tokens. Reference: DynamiCrafter's
    multiple-condition sampler.
    """
    return unconditional + image_scale * (image_only - unconditional) + text_scale * (conditional - image_only)


def rescale_guidance(guided: Tensor, conditional: Tensor, strength: float) -> Tensor:
    """Pull the spread of a guided prediction back to the conditional one's (arXiv 2305.08891, section 3.4).

    Args:
        guided, conditional: (B, ...). The standard deviation (unbiased) is taken over all dimensions but the first.
        strength: 0 leaves ``guided`` as it is, 1 matches the standard deviation fully.
    """
    if strength == 0:
        return guided
    dimensions = tuple(range(1, guided.ndim))
    ratio = conditional.std(dimensions, keepdim=True) / guided.std(dimensions, keepdim=True)  # (B, 1, ...)
    return strength * (guided * ratio) + (1 - strength) * guided
