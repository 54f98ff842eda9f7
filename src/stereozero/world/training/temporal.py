"""Convolutions over time that are safe to train in bfloat16 on any CPU."""

from types import MethodType

from torch import Tensor, nn
from torch.nn import functional


def flatten_temporal_convolutions(module: nn.Module) -> None:
    """Have the module's convolutions over time alone, of kernel (k, 1, 1), computed as two-dimensional ones, in place.

    On CPUs with AMX, oneDNN's backward pass of such a Conv3d in bfloat16 writes outside its memory at some shapes
    (2 x 32 x 3 x 64 x 96 ends the process; seen with torch 2.13 and 2.15). Parameters, results and speed stay.
    """
    for convolution in module.modules():
        if isinstance(convolution, nn.Conv3d) and _is_temporal(convolution):
            convolution._conv_forward = MethodType(_convolve_frames, convolution)


def _is_temporal(convolution: nn.Conv3d) -> bool:
    places = (convolution.kernel_size, convolution.stride, convolution.dilation)
    return (
        convolution.padding_mode == "zeros"
        and convolution.padding[1:] == (0, 0)
        and all(place[1:] == (1, 1) for place in places)
    )


def _convolve_frames(convolution: nn.Conv3d, video: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    frames = functional.conv2d(
        video.flatten(3),  # (B, C, T, H * W)
        weight.flatten(3),  # (D, C, k, 1)
        bias,
        (convolution.stride[0], 1),
        (convolution.padding[0], 0),
        (convolution.dilation[0], 1),
        convolution.groups,
    )
    return frames.unflatten(3, video.shape[3:])
