"""The synthetic world: short stereo clips of textured objects, with exact ground truth.

>>> from stereozero.world import render_clip, sample_scene
>>> clip = render_clip(sample_scene("complex", seed=7), frames=16, height=64, width=96, strength=4.0)
>>> clip.left.shape, clip.right.shape, clip.disparity.max()
((16, 64, 96, 3), (16, 64, 96, 3), 1.0)

A clip computes each of its arrays when it is first asked for it.
"""

from stereozero.world.captions import VOCABULARY, WORDING, Facts, Thing, caption, facts
from stereozero.world.clip import Clip, render_clip
from stereozero.world.sampling import KINDS, sample_scene
from stereozero.world.scenes import Camera, Layer, Scene
from stereozero.world.splits import SPLITS, scenes
from stereozero.world.textures import Texture
from stereozero.world.tracks import PACES

__all__ = [
    "KINDS",
    "PACES",
    "SPLITS",
    "VOCABULARY",
    "WORDING",
    "Camera",
    "Clip",
    "Facts",
    "Layer",
    "Scene",
    "Texture",
    "Thing",
    "caption",
    "facts",
    "render_clip",
    "sample_scene",
    "scenes",
]
