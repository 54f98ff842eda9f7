"""At an even pace, a first frame and a caption tell all of a clip that there is to tell."""

import pytest

from stereozero.errors import InputError
from stereozero.world import KINDS, Layer, Scene, caption, sample_scene

SEEDS = range(150)


def on_screen(scene: Scene, layer: Layer) -> tuple[float, float, float]:
    """How far a layer moves, right and down [image widths], and how much nearer it comes, before a still camera."""
    (x, y, z), (to_x, to_y, to_z) = layer.start, layer.end
    return scene.camera.focal * (to_x / to_z - x / z), scene.camera.focal * (to_y / to_z - y / z), z / to_z


@pytest.mark.parametrize("kind", KINDS)
def test_even_scenes_look_and_are_told_as_the_varied_ones(kind):
    for seed in SEEDS:
        varied, even = sample_scene(kind, seed), sample_scene(kind, seed, "even")
        assert caption(even) == caption(varied)
        assert [(one.shape, one.texture, one.spin) for one in even.layers] == [
            (one.shape, one.texture, one.spin) for one in varied.layers
        ]


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_moves_evenly_moves_as_far_as_its_like(kind):
    ways, turns, cameras = {}, set(), {}
    for seed in SEEDS:
        scene = sample_scene(kind, seed, "even")
        main = scene.layers[scene.main]
        turns.add(round(abs(main.turn), 6))
        cameras.setdefault(scene.camera.motion, set()).add((scene.camera.move, scene.camera.pan))
        if scene.camera.motion == "still":
            way = on_screen(scene, main)
            ways.setdefault(main.direction, []).append(way)
    expected = {"left": (-0.4, 0), "right": (0.4, 0), "up": (0, -0.27), "down": (0, 0.27)}
    assert expected.keys() <= ways.keys()
    for direction, (right, down) in expected.items():
        for way in ways[direction]:
            assert way == pytest.approx((right, down, 1))
    assert {round(nearer, 6) for *_, nearer in ways["towards"]} == {1.85}
    assert {round(1 / nearer, 6) for *_, nearer in ways["away"]} == {1.85}
    assert turns == {0, 0.9}
    assert all(len(moves) == 1 for moves in cameras.values())


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_main_object_moves_evenly(kind):
    others = 0
    for seed in SEEDS:
        scene = sample_scene(kind, seed, "even")
        for layer in scene.objects:
            if layer is not scene.layers[scene.main]:
                others += 1
                assert (layer.end, layer.turn) == (layer.start, 0)
    assert others > 10


def test_varied_scenes_move_at_speeds_of_their_own():
    scenes = [sample_scene("complex", seed) for seed in SEEDS]
    assert len({abs(scene.layers[scene.main].turn) for scene in scenes}) > 5
    assert any(layer.end != layer.start for scene in scenes for layer in scene.objects[:1])


def test_an_unknown_pace_is_refused():
    with pytest.raises(InputError, match="pace 'fast' is unknown: use one of varied, even"):
        sample_scene("simple", 1, "fast")
