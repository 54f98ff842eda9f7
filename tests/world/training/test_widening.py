"""Widening of the video UNet: what it computes stays what it was, and its copies can part."""

import pytest
import torch

from stereozero.backbones.dynamicrafter import VideoUNet
from stereozero.errors import InputError
from stereozero.world.training.widening import widen


def unet(width, multiples):
    torch.manual_seed(width)
    network = VideoUNet(
        in_channels=8,
        out_channels=4,
        model_channels=width,
        channel_mult=multiples,
        num_res_blocks=1,
        attention_resolutions=(2, 1),
        num_head_channels=8,
        context_dim=12,
        dropout=0.0,
        init_attention_heads=width // 8,
        norm_num_groups=4,
    )
    for name, parameter in network.named_parameters():  # also what begins as zero
        torch.nn.init.normal_(parameter, mean=float(name.endswith("norm.weight")), std=0.1)
    return network.eval()


def predictions(network):
    generator = torch.Generator().manual_seed(0)
    sample = torch.randn(2, 8, 3, 8, 8, generator=generator)
    text, image = torch.randn(2, 5, 12, generator=generator), torch.randn(2, 3, 4, 12, generator=generator)
    with torch.no_grad():
        return network(sample, torch.tensor([10, 700]), text, image, torch.tensor([8, 16]))


def test_a_widened_network_computes_the_same():
    narrow, wide = unet(16, (1, 1)), unet(32, (1, 1))
    widen(narrow, wide)
    expected = predictions(narrow)
    assert (predictions(wide) - expected).abs().max() < 1e-4 * expected.std()


def test_with_a_level_of_the_same_width_it_computes_about_the_same():
    narrow, wide = unet(16, (1, 2)), unet(32, (1, 1))
    widen(narrow, wide)
    expected = predictions(narrow)
    assert (predictions(wide) - expected).std() < 0.4 * expected.std()


def test_the_copies_of_a_channel_are_read_with_different_weights():
    wide = unet(32, (1, 1))
    widen(unet(16, (1, 1)), wide)
    weight = wide.input_blocks[1][0].out_layers[3].weight  # (32, 32, 3, 3)
    read = weight[:, ::2] + weight[:, 1::2]  # of what both copies of an input hold
    assert torch.allclose(read[::2], read[1::2], atol=1e-6)
    assert (weight[:, ::2] - weight[:, 1::2]).abs().mean() > 0.1 * weight.abs().mean()


def test_more_than_twice_the_width_is_refused():
    with pytest.raises(InputError, match="widened"):
        widen(unet(16, (1, 1)), unet(48, (1, 1)))
