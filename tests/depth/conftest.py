import pytest
from depthcrafter_goldens import build_model

from stereozero.depth.depthcrafter import DepthCrafter


@pytest.fixture(scope="session")
def golden_model() -> DepthCrafter:
    """Return the networks of named weights: 8 pixels a cell, sizes in multiples of 16."""
    return build_model()
