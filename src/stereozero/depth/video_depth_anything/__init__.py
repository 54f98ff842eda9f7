"""Video Depth Anything (arXiv 2501.12375): relative inverse depth of a whole clip, consistent in time."""

from stereozero.depth.video_depth_anything.checkpoint import load_official
from stereozero.depth.video_depth_anything.estimator import VideoDepthAnythingEstimator
from stereozero.depth.video_depth_anything.network import SIZES, Size, VideoDepthAnything

__all__ = ["SIZES", "Size", "VideoDepthAnything", "VideoDepthAnythingEstimator", "load_official"]
