"""The ground truth against an independent ray caster, and the two views and the frames against each other."""

from dataclasses import replace

import numpy as np
import pytest
import rays
from scipy.ndimage import binary_dilation, map_coordinates, maximum_filter, minimum_filter

from stereozero.world import Clip, render_clip, sample_scene
from stereozero.world.renderer import layer_ids

CASES = [(kind, seed) for kind in ("simple", "complex") for seed in range(6)]
SIZE = (48, 72)


def clip_of(kind: str, seed: int, **options: object) -> Clip:
    return render_clip(sample_scene(kind, seed), **{"frames": 3, "height": 48, "width": 72, "strength": 6.0, **options})


def pixel_grid(clip: Clip) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[: clip.height, : clip.width].astype(float)
    return x, y


@pytest.mark.parametrize(("kind", "seed"), CASES)
def test_layers_and_depth_are_those_of_the_nearest_hit(kind, seed):
    clip = clip_of(kind, seed)
    x, y = pixel_grid(clip)
    for frame, time in enumerate((0.0, 0.5, 1.0)):
        ids, depth = rays.nearest(clip.scene, rays.pixel_rays(clip.scene, x, y, SIZE), time)
        assert (ids != clip.layer_ids[frame]).mean() <= 1e-3  # pixel centres on an outline, within rounding
        same = ids == clip.layer_ids[frame]
        np.testing.assert_allclose(clip.depth[frame][same], depth[same], rtol=2e-5)


@pytest.mark.parametrize("convergence", ["far", "infinity", 2.5])
@pytest.mark.parametrize(("kind", "seed"), CASES[::3])
def test_right_layers_and_disparity_are_those_of_the_nearest_hit(kind, seed, convergence):
    clip = clip_of(kind, seed, convergence=convergence)
    x, y = pixel_grid(clip)
    shift = clip.target_view.shift
    for frame, time in enumerate((0.0, 0.5, 1.0)):
        view = rays.pixel_rays(clip.scene, x, y, SIZE, shift)
        ids, depth = rays.nearest(clip.scene, view, time, clip.baseline)
        assert (ids != clip.right_layer_ids[frame]).mean() <= 1e-3
        same = ids == clip.right_layer_ids[frame]
        disparity = clip.width * (clip.scene.camera.focal * clip.baseline / depth - shift)
        np.testing.assert_allclose(clip.right_disparity_px[frame][same], disparity[same], atol=2e-3)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(("kind", "seed"), [*CASES, ("complex", 6)])
def test_hidden_pixels_agree_with_a_layer_map_of_nine_times_the_resolution(kind, seed, side):
    clip = clip_of(kind, seed, strength=-5.0 if seed % 2 else 5.0)
    ids, other, shift, hidden = (
        (clip.layer_ids, clip.target_view, -clip.disparity_px, clip.left_hidden)
        if side == "left"
        else (clip.right_layer_ids, clip.source_view, clip.right_disparity_px, clip.right_hidden)
    )
    fine = layer_ids(replace(other, height=9 * clip.height, width=9 * clip.width))[:, 4::9]
    at = np.arange(clip.width) + shift.astype(float)
    outside = (at < -0.5) | (at > clip.width - 0.5)
    seen = [
        np.take_along_axis(fine, (np.rint(9 * at + 4) + k).astype(int).clip(0, fine.shape[2] - 1), axis=2) == ids
        for k in (-1, 0, 1)
    ]
    must_be_hidden = outside | ~np.any(seen, axis=0)
    may_be_hidden = outside | ~np.all(seen, axis=0)
    assert hidden.any()
    assert (must_be_hidden & ~hidden).sum() <= 2  # rows through a vertex
    assert (hidden & ~may_be_hidden).sum() <= 2


def test_hidden_pixels_are_where_the_nearest_hit_is_nearer_than_the_point():
    clip = clip_of("complex", 5)
    x, y = pixel_grid(clip)
    there = x - clip.disparity_px[1]
    view = rays.pixel_rays(clip.scene, there, y, SIZE, clip.target_view.shift)
    _, depth = rays.nearest(clip.scene, view, 0.5, clip.baseline)
    expected = (depth < clip.depth[1] * (1 - 1e-4)) | (there < -0.5) | (there > clip.width - 0.5)
    assert (expected != clip.left_hidden[1]).sum() <= 3


@pytest.mark.parametrize(("kind", "seed"), CASES)
def test_flow_leads_to_where_the_surface_point_goes(kind, seed):
    clip = clip_of(kind, seed)
    x, y = pixel_grid(clip)
    view = rays.pixel_rays(clip.scene, x, y, SIZE)
    for index, layer in enumerate(clip.scene.layers):
        shown = clip.layer_ids[0] == index
        _, u, v = rays.hits(clip.scene, layer, view, 0.0)
        origin, axes = rays.pose(layer, 0.5)
        eye, camera_axes = rays.camera_pose(clip.scene, 0.5)
        points = origin + layer.size * (u[..., None] * axes[:, 0] + v[..., None] * axes[:, 1])
        seen = (points - eye) @ camera_axes
        focal = clip.scene.camera.focal * clip.width
        moved = focal * seen[..., :2] / seen[..., 2:] + (np.array(SIZE[::-1]) - 1) / 2
        np.testing.assert_allclose(clip.flow[0][shown], (moved - np.stack([x, y], -1))[shown], atol=2e-3)


def test_backward_flow_undoes_flow():
    clip = clip_of("complex", 2)
    x, y = pixel_grid(clip)
    flow, back = clip.flow[0], clip.backward_flow[0]
    x, y = x + flow[..., 0], y + flow[..., 1]
    flat = same_layer_around(clip.layer_ids[1])
    landed = map_coordinates(flat & (clip.layer_ids[1] == 0), [y, x], order=0, cval=0) & (clip.layer_ids[0] == 0)
    back = np.stack([map_coordinates(back[..., k], [y, x], order=3, mode="nearest") for k in range(2)], -1)
    assert landed.sum() > 300
    assert np.abs(flow + back)[landed].max() < 0.02


def same_layer_around(ids: np.ndarray, size: int = 7) -> np.ndarray:
    """True where all pixels of a window show one layer."""
    return minimum_filter(ids, size) == maximum_filter(ids, size)


def levels_off(clip: Clip, frame: int) -> np.ndarray:
    """Difference [8-bit levels] of the left view and the right one warped to it, visible and off silhouettes."""
    x, y = pixel_grid(clip)
    x = x - clip.disparity_px[frame]
    right = clip.right[frame].astype(float)
    warped = np.stack([map_coordinates(right[..., k], [y, x], order=5, mode="mirror") for k in range(3)], -1)
    fair = same_layer_around(clip.layer_ids[frame]) & ~binary_dilation(clip.left_hidden[frame], iterations=4)
    fair &= (x > 3) & (x < clip.width - 4)
    return 255 * np.abs(warped - clip.left[frame])[fair]


@pytest.mark.parametrize("kind", ["simple", "complex"])
def test_views_agree_at_sub_pixel_disparity(kind):
    clips = [clip_of(kind, seed, height=64, width=96, strength=4.3) for seed in range(8)]
    off = np.concatenate([levels_off(clip, 1).ravel() for clip in clips])
    assert off.mean() < 0.4
    assert np.percentile(off, 99) < 3
    assert off.max() < 12


def test_views_agree_at_sub_pixel_disparity_in_large_frames():
    off = levels_off(clip_of("complex", 7, frames=1, height=576, width=1024), 0)
    assert off.mean() < 0.1
    assert np.percentile(off, 99) < 2
    assert off.max() < 12


def test_views_are_equal_where_the_disparity_is_whole():
    scene = sample_scene("simple", 5)  # an upright object before an upright wall
    clip = render_clip(scene, frames=2, height=64, width=100, strength=4.0)
    y, x = np.nonzero((clip.layer_ids[0] == scene.main) & same_layer_around(clip.layer_ids[0]))
    assert len(y) > 20
    assert (clip.disparity_px[0, y, x] == 4).all()
    np.testing.assert_allclose(clip.left[0, y, x], clip.right[0, y, x - 4], atol=1e-4)


def test_next_frame_shows_the_same_colours_along_the_flow():
    clip = clip_of("complex", 8, height=64, width=96, frames=16)
    x, y = pixel_grid(clip)
    x, y = x + clip.flow[7, ..., 0], y + clip.flow[7, ..., 1]
    after = clip.left[8].astype(float)
    warped = np.stack([map_coordinates(after[..., k], [y, x], order=5, mode="mirror") for k in range(3)], -1)
    flat = same_layer_around(clip.layer_ids[7]) & (x > 3) & (x < 92) & (y > 3) & (y < 60)
    landed = map_coordinates(np.where(same_layer_around(clip.layer_ids[8]), clip.layer_ids[8], 255), [y, x], order=0)
    off = 255 * np.abs(warped - clip.left[7])[flat & (landed == clip.layer_ids[7])]
    assert off.mean() < 0.5
    assert np.percentile(off, 99) < 4


def test_nothing_flickers_when_nothing_moves():
    scene = sample_scene("complex", 1)
    still = [replace(layer, end=layer.start, turn=0.0) for layer in scene.layers]
    clip = render_clip(replace(scene, layers=tuple(still)), frames=4)
    assert (clip.left == clip.left[0]).all()
    assert (clip.right == clip.right[0]).all()
