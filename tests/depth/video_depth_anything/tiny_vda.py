"""A tiny Video Depth Anything with random weights: for structure and invariances, not for results."""

import torch

from stereozero.depth.video_depth_anything.network import Size, VideoDepthAnything

TINY = Size(24, 4, 2, (0, 1, 2, 3), (32, 32, 32, 32), 32)


def tiny_network() -> VideoDepthAnything:
    """Return a network whose every parameter is random, also those that training starts at 0 or 1."""
    generator = torch.Generator().manual_seed(0)
    network = VideoDepthAnything(TINY).requires_grad_(False).eval()
    for parameter in network.parameters():
        spread = parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.5
        parameter.copy_(spread * torch.randn(parameter.shape, generator=generator))
    network.head.scratch["output_conv2"][2].bias.fill_(5.0)  # the last ReLU leaves something
    return network
