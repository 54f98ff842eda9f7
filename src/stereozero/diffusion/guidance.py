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
    image_scale: float | None = None,
    rescale: float = 0.0,
    one_batch: bool = True,
) -> Tensor:
    """Evaluate the branches of classifier-free guidance and combine them; see :func:`branch_count`.

    Args:
        backbone: the model.
        latents: (B, C, F, h, w) at the noise level of ``timestep``.
        timestep: training timestep.
        pair: conditions of B clips.
        scale: see :func:`guide`.
        image_scale: see :func:`guide_image_and_text`, whose text scale then is ``scale``; None for plain guidance.
        rescale: see :func:`rescale_guidance`.
        one_batch: evaluate all branches in one call (faster on a GPU) or one after the other (half the memory). The
            result is the same up to rounding.

    Returns:
        (B, C, F, h, w), like ``latents``.
    """
    count = branch_count(scale, image_scale)
    branches = (pair.conditional, pair.unconditional, pair.image_only)[:count]
    if one_batch:
        repeated = torch.cat([latents] * count)  # (count * B, C, F, h, w)
        predictions = backbone.predict(repeated, timestep, Conditioning.join(branches)).chunk(count)
    else:
        predictions = [backbone.predict(latents, timestep, branch) for branch in branches]
    if count == 1:
        return predictions[0]
    conditional, unconditional, *image_only = predictions
    if image_only:
        guided = guide_image_and_text(conditional, *image_only, unconditional, scale, image_scale)
    else:
        guided = guide(conditional, unconditional, scale)
    return rescale_guidance(guided, conditional, rescale)


def branch_count(scale: float, image_scale: float | None = None) -> int:
    """Return how often guidance evaluates the network on a clip: once at scale 1, three times with an image scale."""
    if image_scale is not None:
        return 3
    return 1 if scale == 1 else 2


def guide(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """Return ``unconditional + scale * (conditional - unconditional)``; scale 1 is the conditional prediction."""
    return unconditional + scale * (conditional - unconditional)


def guide_image_and_text(
    conditional: Tensor, image_only: Tensor, unconditional: Tensor, text_scale: float, image_scale: float
) -> Tensor:
    """Guide towards the image and towards the text with a strength of their own.

    ``image_only`` is the prediction with the empty prompt and the clip's image tokens. Equal scales are plain guidance,
    an image scale of 1 guides towards the text alone. Reference: DynamiCrafter's multiple-condition sampler, whose
    cfg_img is the image scale.
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
