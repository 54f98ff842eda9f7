"""Signed distances and texture patterns."""

import numpy as np
import pytest

from stereozero.world.shapes import SHAPES
from stereozero.world.textures import PATTERNS, Texture


@pytest.mark.parametrize("name", SHAPES)
def test_shape_fits_its_square_and_measures_distance(name):
    u, v = np.meshgrid(*[np.linspace(-1.3, 1.3, 521, dtype=np.float32)] * 2)
    distance = SHAPES[name](u, v)
    assert (distance[np.maximum(np.abs(u), np.abs(v)) > 1] > 0).all()
    assert 0.15 < (distance < 0).mean() * 2.6**2 / 4 < 0.8  # share of the square
    slope = np.hypot(*np.gradient(distance.astype(float), 2.6 / 520))
    near = np.abs(distance) < 0.05
    assert 0.98 < np.median(slope[near]) < 1.02
    assert np.percentile(slope[near], 99) < 1.05  # never steeper than a distance


@pytest.mark.parametrize("family", PATTERNS)
def test_texture_is_a_steady_mixture_of_its_colours(family):
    texture = Texture(family, ((0.0, 0.2, 0.4), (1.0, 0.6, 0.4)), period=0.5, angle=0.3, seed=4)
    u, v = np.meshgrid(*[np.linspace(-20, 20, 200, dtype=np.float32)] * 2)
    colour = texture.colour(u, v)
    assert colour.shape == (200, 200, 3)
    assert colour[..., 0].min() >= -1e-6
    assert colour[..., 0].max() <= 1 + 1e-6
    np.testing.assert_allclose(colour[..., 2], 0.4, atol=1e-6)
    assert colour[..., 0].std() > 0.04
    assert (texture.colour(u, v) == colour).all()
    assert (texture.colour(u[50:60], v[50:60]) == colour[50:60]).all()
