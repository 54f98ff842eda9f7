"""The point renderer against PyTorch3D's own kernels."""

import pytest
import torch
from met3r_goldens import named_tensor, read_case
from parity import largest_error

from stereozero.metrics.met3r.rendering import BACKGROUND, Raster, composite, project, rasterise

CASES = {
    "s32_r001": Raster(32, 32, 0.01),
    "s32_r006": Raster(32, 32, 0.06),
    "s32_r03_overflow": Raster(32, 32, 0.3),
    "h24w40_r01": Raster(24, 40, 0.1),
    "h40w24_r01": Raster(40, 24, 0.1),
}


def golden_points() -> torch.Tensor:
    points = named_tensor("input:points", [2, 400, 3])
    points[..., :2] *= 0.9
    points[..., 2] = 2.5 + 0.6 * points[..., 2]
    points[:, :10, 2] *= -1
    points[:, 11] = points[:, 10]
    points[:, 13] = points[:, 12]
    points[:, 13, :2] *= 1.01
    return points


@pytest.mark.parametrize("case", CASES)
def test_equals_pytorch3d(case):
    facts, expected = read_case("point_render")
    raster = CASES[case]
    projected = project(golden_points(), torch.tensor(facts["inputs"]["focal"]))
    fragments = rasterise(projected, raster)
    assert torch.equal(fragments.index[:1], expected[f"{case}.idx"].long())
    assert torch.equal((fragments.index >= 0).sum(-1), expected[f"{case}.hits"].long())
    assert largest_error(fragments.depth[:1], expected[f"{case}.zbuf"]) < 1e-5
    assert largest_error(fragments.depth[..., 0], expected[f"{case}.zbuf0"]) < 1e-5
    image = composite(fragments, named_tensor("input:features", [2, 400, 5]), raster.radius)
    assert largest_error(image.permute(0, 2, 3, 1), expected[f"{case}.image"]) < 1e-4


def test_points_that_cannot_be_drawn_are_left_out():
    points = torch.tensor([[[0.0, 0, -1], [0, 0, torch.nan], [torch.inf, 0, 1], [1e30, 0, 1], [0, 0, 0]]])
    fragments = rasterise(project(points, torch.ones(1, 2)), Raster(8, 8, 0.5))
    assert (fragments.index == -1).all()
    image = composite(fragments, torch.ones(1, 5, 2), 0.5)
    assert image.shape == (1, 2, 8, 8)
    assert (image == BACKGROUND).all()


def test_a_near_point_hides_a_far_one_as_far_as_it_is_opaque():
    points = torch.tensor([[[0.125, 0.125, 2.0], [0.0625, 0.0625, 1.0]]])
    image = composite(rasterise(project(points, torch.ones(1, 2)), Raster(8, 8, 0.5)), torch.eye(2)[None], 0.5)
    # Both points project to (-0.0625, -0.0625) in NDC; the centre of pixel (4, 4) is at (-0.125, -0.125).
    opacity = 1 - 2 * 0.0625**2 / 0.25
    assert image[0, :, 4, 4].tolist() == pytest.approx([(1 - opacity) * opacity, opacity])
