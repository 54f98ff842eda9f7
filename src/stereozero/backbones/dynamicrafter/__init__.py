"""DynamiCrafter (arXiv 2310.12190): video from an image and a prompt."""

from stereozero.backbones.dynamicrafter.attention import Attention, AttentionProcessor, Projections, attend
from stereozero.backbones.dynamicrafter.backbone import DynamiCrafter
from stereozero.backbones.dynamicrafter.checkpoint import Modules, load_official
from stereozero.backbones.dynamicrafter.conditioner import ClipConditioner
from stereozero.backbones.dynamicrafter.resampler import Resampler
from stereozero.backbones.dynamicrafter.unet import VideoUNet
from stereozero.backbones.variants import VARIANTS, Variant, variant_named

__all__ = [
    "VARIANTS",
    "Attention",
    "AttentionProcessor",
    "ClipConditioner",
    "DynamiCrafter",
    "Modules",
    "Projections",
    "Resampler",
    "Variant",
    "VideoUNet",
    "attend",
    "load_official",
    "variant_named",
]
