"""Convolutions over time as two-dimensional ones: the same numbers, and no memory overwritten."""

import copy
import subprocess
import sys

import pytest
import torch
from torch import nn

from stereozero.world.training.temporal import flatten_temporal_convolutions

# Freed memory is kept, so that a write outside of what was allocated meets glibc's own records.
SCRIPT = """
import torch
from stereozero.world.training.allocation import keep_freed_memory
from stereozero.world.training.temporal import flatten_temporal_convolutions
keep_freed_memory()
network = torch.nn.Sequential(torch.nn.Conv3d(32, 32, (3, 1, 1), padding=(1, 0, 0)))
flatten_temporal_convolutions(network)
for _ in range(3):
    video = torch.randn(2, 32, 3, 64, 96, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        loss = network(video).square().mean()
    loss.backward()
    [torch.randn(7 * size + 3) for size in range(1, 400)]
"""


@pytest.mark.parametrize("settings", [{"padding": (1, 0, 0)}, {"stride": (2, 1, 1), "bias": False}, {"groups": 2}])
def test_results_and_gradients_stay(settings):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv3d(4, 6, (3, 1, 1), **settings))
    flattened = copy.deepcopy(network)
    flatten_temporal_convolutions(flattened)
    video = torch.randn(2, 4, 5, 6, 7)
    expected, found = network(video), flattened(video)
    torch.testing.assert_close(found, expected)
    expected.square().sum().backward()
    found.square().sum().backward()
    torch.testing.assert_close(flattened[0].weight.grad, network[0].weight.grad)


def test_convolutions_over_places_too_are_left_alone():
    network = nn.Sequential(nn.Conv3d(2, 2, 3), nn.Conv3d(2, 2, (3, 1, 1), padding=1))
    expected = network(torch.ones(1, 2, 5, 5, 5))
    flatten_temporal_convolutions(network)
    torch.testing.assert_close(network(torch.ones(1, 2, 5, 5, 5)), expected)


def test_training_in_bfloat16_writes_only_its_own_memory():
    subprocess.run([sys.executable, "-c", SCRIPT], check=True)
