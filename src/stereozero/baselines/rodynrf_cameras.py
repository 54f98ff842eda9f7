"""Move the cameras of a trained RoDynRF sideways; run by RoDynRF's own Python, so it needs nothing but torch and numpy.

RoDynRF renders its frames from the camera poses that its two checkpoints hold. Its camera looks along -z with x to the
right, and a pose's first three columns are its axes, the fourth its place (dataLoader/ray_utils.py). Moving the place
along the x axis gives the other eye. Depth has no unit there, so the distance follows from the depth maps that it
leaves when it renders (``rgbd/*.npy`` hold -1 / depth): the nearest surface, by percentile, shall move by the wanted
share of the width.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

NEAREST_PERCENTILE = 99.0
"""Of the inverse depth of the whole clip; what stands for disparity 1."""


def baseline(inverse_depth, focal, width, strength):
    """Return how far the camera moves to the right, in the scene's unit.

    Args:
        inverse_depth: array of any shape, 1 / depth.
        focal: focal length [px].
        width: of a frame [px].
        strength: shift of the nearest surface, percent of the width; negative moves the camera to the left.
    """
    nearest = float(np.percentile(inverse_depth, NEAREST_PERCENTILE))
    return strength / 100 * width / (focal * nearest)


def move(poses, distance):
    """Return camera poses (F, 3, 4) moved along their own x axes."""
    moved = poses.clone()
    moved[:, :, 3] += distance * poses[:, :, 0]
    return moved


def main():
    """Write ``<to>.th`` and ``<to>_static.th`` from ``<checkpoint>.th`` and ``<checkpoint>_static.th``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", required=True, help="path of the trained checkpoint, without .th")
    parser.add_argument("--depths", type=Path, required=True, help="folder with the rendered -1 / depth, *.npy")
    parser.add_argument("--strength", type=float, required=True)
    parser.add_argument("--to", required=True, help="path of the moved checkpoint, without .th")
    given = parser.parse_args()
    depths = -np.stack([np.load(path) for path in sorted(given.depths.glob("*.npy"))])  # (F, H, W)
    for part in ("", "_static"):
        # The file was written by the training just before; it holds more than tensors.
        checkpoint = torch.load(f"{given.checkpoint}{part}.th", map_location="cpu", weights_only=False)
        kwargs = checkpoint["kwargs"]
        distance = baseline(depths, float(kwargs["focal_ratio_refine"]), depths.shape[2], given.strength)
        kwargs["se3_poses"] = move(kwargs["se3_poses"], distance)
        torch.save(checkpoint, f"{given.to}{part}.th")


if __name__ == "__main__":
    main()
