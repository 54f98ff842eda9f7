"""From the configuration to MEt3R with its networks."""

import math
from pathlib import Path

from stereozero.config.scoring import Met3rScoring
from stereozero.metrics.met3r.checkpoint import load_official
from stereozero.metrics.met3r.dust3r import Dust3r
from stereozero.metrics.met3r.features import PatchFeatures, load_dino16, load_featup, load_from_hub
from stereozero.metrics.met3r.geometry import PairGeometry
from stereozero.metrics.met3r.mast3r import Mast3r
from stereozero.metrics.met3r.matching import FlowMatching, PairMatching, StereoMatching
from stereozero.metrics.met3r.raft import PairRaft
from stereozero.metrics.met3r.score import Met3r, RasterSettings
from stereozero.metrics.met3r.upsampling import FeatUp, Interpolation, Upsampler
from stereozero.metrics.met3r.video import SizeRule, VideoScorer


def load_met3r(settings: Met3rScoring, device: str) -> VideoScorer:
    """Load the configured geometry, features and upsampler.

    Raises:
        InputError: a file or repository is missing or does not hold the network.
    """
    geometry = _geometry(settings, device)
    features, upsample = _features(settings, device)
    rendering = RasterSettings(settings.raster_side, settings.radius, settings.points_per_pixel)
    factor = math.lcm(geometry.size_factor, features.patch_size)
    rule = SizeRule(factor, getattr(geometry, "smallest_side", 1), settings.shorter_side)
    return VideoScorer(Met3r(geometry, features, upsample, rendering), rule, settings.batch, device)


def _geometry(settings: Met3rScoring, device: str) -> PairGeometry | PairMatching:
    match settings.geometry:
        case "stereo":
            return StereoMatching()
        case "raft":
            return FlowMatching(PairRaft.from_official(settings.geometry_checkpoint, device=device))
        case "dust3r":
            return load_official(settings.geometry_checkpoint, Dust3r, device=device)
        case "mast3r":
            return load_official(settings.geometry_checkpoint, Mast3r, device=device)


def _features(settings: Met3rScoring, device: str) -> tuple[PatchFeatures, Upsampler]:
    checkpoint = Path(settings.feature_checkpoint) if settings.feature_checkpoint else None
    if settings.features == "dino16":
        network = load_dino16(checkpoint)
    else:
        network = load_from_hub(settings.hub, settings.entry, checkpoint)
    if settings.upsampler != "featup":
        return PatchFeatures(network).to(device), Interpolation(settings.upsampler)
    stack, norm = load_featup(Path(settings.featup_checkpoint), network.norm.weight.numel(), settings.featup_norm)
    return PatchFeatures(network, norm).to(device), FeatUp(stack.to(device))
