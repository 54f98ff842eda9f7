"""Shapes, determinism, disparity, convergence and arguments of rendered clips."""

import hashlib
from dataclasses import fields, replace

import cv2
import numpy as np
import pytest

from stereozero.errors import InputError
from stereozero.world import KINDS, Camera, Clip, Layer, Scene, Texture, render_clip, sample_scene, scenes
from stereozero.world.splits import SPLITS

ARRAYS = {
    "left": ((4, 40, 60, 3), np.float32),
    "right": ((4, 40, 60, 3), np.float32),
    "depth": ((4, 40, 60), np.float32),
    "disparity": ((4, 40, 60), np.float32),
    "disparity_px": ((4, 40, 60), np.float32),
    "right_disparity_px": ((4, 40, 60), np.float32),
    "layer_ids": ((4, 40, 60), np.uint8),
    "right_layer_ids": ((4, 40, 60), np.uint8),
    "left_hidden": ((4, 40, 60), np.bool_),
    "right_hidden": ((4, 40, 60), np.bool_),
    "flow": ((3, 40, 60, 2), np.float32),
    "backward_flow": ((3, 40, 60, 2), np.float32),
}


def small(kind: str = "complex", seed: int = 3, **options: object) -> Clip:
    return render_clip(sample_scene(kind, seed), **{"frames": 4, "height": 40, "width": 60, **options})


def checksum(clip: Clip) -> str:
    digest = hashlib.sha256(clip.caption.encode())
    for name in ARRAYS:
        digest.update(np.ascontiguousarray(getattr(clip, name)).tobytes())
    return digest.hexdigest()


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_have_their_shape_and_are_finite_and_read_only(name):
    array = getattr(small(), name)
    assert (array.shape, array.dtype) == ARRAYS[name]
    assert np.isfinite(array).all()
    assert not array.flags.writeable


def test_colours_and_disparity_stay_in_zero_to_one():
    clip = small()
    for array in (clip.left, clip.right, clip.disparity):
        assert array.min() >= 0
        assert array.max() <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_same_seed_same_clip_and_other_seed_other_clip(kind):
    sums = [checksum(small(kind, seed)) for seed in (5, 5, 6)]
    assert sums[0] == sums[1]
    assert sums[0] != sums[2]


def test_kinds_differ_for_one_seed():
    assert sample_scene("simple", 1) != sample_scene("complex", 1)


def test_order_of_access_does_not_matter():
    first, second = small(), small()
    for name in reversed(ARRAYS):
        getattr(second, name)
    assert checksum(first) == checksum(second)


def test_frames_do_not_depend_on_how_many_are_computed_at_once(monkeypatch):
    whole = {name: getattr(small(), name) for name in ARRAYS}
    monkeypatch.setattr("stereozero.world.renderer._BATCH", 1)
    monkeypatch.setattr("stereozero.world.clip._BATCH", 1)
    for name, array in whole.items():
        np.testing.assert_allclose(getattr(small(), name).astype(float), array.astype(float), atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("strength", [4.0, -4.0, 0.5, 12.0])
def test_far_disparity_spans_exactly_zero_to_strength(kind, strength):
    clip = small(kind, strength=strength)
    assert clip.disparity.min() == 0
    assert clip.disparity.max() == 1
    np.testing.assert_allclose(clip.disparity_px, strength / 100 * 60 * clip.disparity, rtol=1e-6)
    assert np.sign(clip.baseline) == np.sign(strength)


def test_normalised_disparity_and_left_view_do_not_depend_on_strength():
    weak, strong = small(strength=1.0), small(strength=-8.0)
    assert (weak.disparity == strong.disparity).all()
    assert (weak.left == strong.left).all()
    assert strong.baseline == pytest.approx(-8 * weak.baseline)


def test_disparity_follows_from_depth_focal_length_and_baseline():
    clip = small(convergence="infinity")
    focal_px = clip.scene.camera.focal * clip.width
    np.testing.assert_allclose(clip.disparity_px, focal_px * clip.baseline / clip.depth, rtol=1e-4)


def test_convergence_on_a_depth_puts_it_on_the_screen():
    clip = small(convergence=3.0)
    focal_px = clip.scene.camera.focal * clip.width
    expected = focal_px * clip.baseline * (1 / clip.depth - 1 / 3.0)
    np.testing.assert_allclose(clip.disparity_px, expected, atol=1e-4)
    assert clip.baseline == small().baseline


def test_negative_strength_swaps_the_sides_of_disocclusions():
    wide = {"kind": "simple", "seed": 5, "strength": 6.0}
    right, left = small(**wide).left_hidden, small(**{**wide, "strength": -6.0}).left_hidden
    assert right.any()
    assert left.any()
    assert not (right & left).any()


@pytest.mark.parametrize("kind", KINDS)
def test_large_frames_scaled_down_equal_small_frames(kind):
    scene = sample_scene(kind, 3)
    large = render_clip(scene, frames=1, height=576, width=864).left[0]
    large = cv2.GaussianBlur(large, (0, 0), 0.6 * 9)[4::9, 4::9]  # a small frame's own filter
    error = render_clip(scene, frames=1).left[0] - large
    assert 255 * np.abs(error).mean() < 3  # silhouettes are filtered by a box, not by a Gaussian
    slopes = np.stack([np.gradient(large, axis=axis).ravel() for axis in (0, 1)], axis=1)
    shift = np.linalg.lstsq(slopes, error.ravel(), rcond=None)[0]
    assert np.abs(shift).max() < 0.03  # pixels


@pytest.mark.parametrize(("height", "width"), [(8, 8), (36, 64), (33, 47), (64, 20)])
def test_odd_sizes_and_aspects_render(height, width):
    clip = small(frames=2, height=height, width=width)
    assert clip.right.shape == (2, height, width, 3)
    assert clip.disparity.max() == 1


def test_one_frame_is_the_first_of_many():
    one, many = small(frames=1), small(frames=5)
    np.testing.assert_allclose(one.left[0], many.left[0], atol=1e-4)
    assert (one.layer_ids[0] == many.layer_ids[0]).all()
    assert one.flow.shape == (0, 40, 60, 2)


def test_objects_that_pass_each_other_in_depth_swap_their_order():
    def square(z: tuple[float, float], colour: tuple[float, float, float]) -> Layer:
        texture = Texture("plain", (colour, colour), 1.0)
        return Layer("square", texture, 0.4, (0, 0, z[0]), (0, 0, z[1]))

    wall = Layer("plane", Texture("plain", ((0.5,) * 3,) * 2, 1.0), 1.0, (0, 0, 9), (0, 0, 9))
    scene = Scene((wall, square((2, 4), (1, 0, 0)), square((4, 2), (0, 0, 1))), Camera(), main=1)
    clip = render_clip(scene, frames=2, height=21, width=31)
    assert clip.layer_ids[:, 10, 15].tolist() == [1, 2]
    np.testing.assert_allclose(clip.left[:, 10, 15], [[1, 0, 0], [0, 0, 1]], atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strength": 0}, "strength is 0: .*but not 0"),
        ({"strength": float("nan")}, "strength is nan"),
        ({"strength": 200}, "strength is 200: give percent"),
        ({"frames": 0}, "frames is 0: give a whole number of at least 1"),
        ({"height": 7}, "height is 7"),
        ({"width": 96.5}, "width is 96.5"),
        ({"convergence": "near"}, "convergence is 'near': use 'far', 'infinity' or a positive depth"),
        ({"convergence": -2.0}, "convergence is -2.0"),
    ],
)
def test_bad_arguments_are_refused_at_once(options, message):
    with pytest.raises(InputError, match=message):
        small(**options)


def test_bad_kind_seed_and_split_are_refused():
    with pytest.raises(InputError, match=r"kind 'hard' is unknown: use one of simple, complex"):
        sample_scene("hard", 1)
    with pytest.raises(InputError, match="seed is -1"):
        sample_scene("simple", -1)
    with pytest.raises(InputError, match="split 'test' is unknown: use one of held-out, train"):
        next(scenes("simple", "test"))


def test_bad_scenes_are_refused():
    scene = sample_scene("simple", 0)
    wall, disc = scene.layers[0], scene.objects[0]
    with pytest.raises(InputError, match="first layer must have the shape 'plane'"):
        replace(scene, layers=(disc, wall))
    with pytest.raises(InputError, match="main is 0, which is not the index of an object"):
        replace(scene, main=0)
    with pytest.raises(InputError, match="list all backdrops"):
        replace(scene, layers=(wall, disc, wall))
    with pytest.raises(InputError, match=r"closer to the camera than 0\.01"):
        render_clip(replace(scene, layers=(wall, replace(disc, end=(0, 0, -1))), main=1))
    with pytest.raises(InputError, match="shape 'blob' is unknown"):
        replace(disc, shape="blob")
    with pytest.raises(InputError, match="size is 0"):
        replace(disc, size=0)
    with pytest.raises(InputError, match="family 'tartan' is unknown"):
        replace(disc.texture, family="tartan")
    with pytest.raises(InputError, match="motion 'roll' is unknown"):
        Camera(motion="roll")


def test_a_scene_of_one_depth_has_no_stereo_but_a_left_view():
    scene = sample_scene("simple", 5)
    gone = replace(scene.objects[0], start=(99, 0, 3), end=(99, 0, 3))
    clip = render_clip(replace(scene, layers=(*scene.backdrops, gone), main=1), frames=1)
    assert clip.left.std() > 0
    with pytest.raises(InputError, match="everything visible has one depth"):
        _ = clip.right


def test_splits_are_disjoint_and_strides_cover_them():
    held_out, train = SPLITS["held-out"], SPLITS["train"]
    assert held_out.stop <= train.start
    stream = scenes("simple", "train", start=1, step=2)
    assert [next(stream).seed for _ in range(3)] == [train[1], train[3], train[5]]


def test_clip_is_frozen():
    assert {field.name for field in fields(Clip)} >= {"scene", "strength", "convergence"}
    with pytest.raises(AttributeError):
        small().strength = 3
