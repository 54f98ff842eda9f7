"""Captions say what the clips show."""

import numpy as np
import pytest

from stereozero.world import KINDS, VOCABULARY, caption, facts, render_clip, sample_scene

STEP = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
SAID = {
    "left": {"left"},
    "right": {"right"},
    "up": {"up", "rises"},
    "down": {"down", "sinks"},
    "towards": {"towards", "closer"},
    "away": {"away"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_main_object_moves_as_the_caption_says(kind):
    for seed in range(40):
        clip = render_clip(sample_scene(kind, seed), frames=4)
        told, shown = clip.facts, clip.layer_ids == clip.scene.main
        area = shown.sum((1, 2))
        assert area.min() > 40, seed  # of 6144 pixels
        if told.direction in STEP:
            moved = sum(flow[mask].mean(0) for flow, mask in zip(clip.flow, shown, strict=False))
            along = moved @ STEP[told.direction]
            assert along > 15, seed
            assert np.hypot(*moved) < 1.1 * along, seed
        else:
            growth = area[-1] / area[0]
            assert (growth if told.direction == "towards" else 1 / growth) > 1.8, seed


@pytest.mark.parametrize("kind", KINDS)
def test_caption_names_the_facts_in_known_words(kind):
    for seed in range(200):
        scene = sample_scene(kind, seed)
        told, text = facts(scene), caption(scene)
        words = text.replace(",", "").split()
        assert set(words) <= VOCABULARY
        assert {told.main.colour, *told.main.shape.split(), told.wall.colour, told.wall.surface} <= set(words)
        assert SAID[told.direction] & set(words)
        assert ("turns" in words) == (told.turns is not None)
        assert told.turns is None or f"and turns to the {told.turns}" in text
        assert ("floor" in words) == (told.floor is not None)
        assert "a orange" not in text


def test_objects_turn_as_the_caption_says():
    turning = [clip for clip in (render_clip(sample_scene("simple", seed)) for seed in range(60)) if clip.facts.turns]
    assert {clip.facts.turns for clip in turning} == {"left", "right"}
    for clip in turning:
        assert (_clockwise(clip) > 0.3) if clip.facts.turns == "right" else (_clockwise(clip) < -0.3), clip.caption


def _clockwise(clip) -> float:
    """How far the main object turns by its optical flow, clockwise [rad]."""
    total = 0.0
    for flow, shown in zip(clip.flow, clip.layer_ids == clip.scene.main, strict=False):  # flow: (H, W, 2)
        places = np.argwhere(shown)[:, ::-1].astype(float)  # (P, 2), x to the right and y down
        places -= places.mean(0)
        moved = flow[shown] - flow[shown].mean(0)
        across = places[:, 0] * moved[:, 1] - places[:, 1] * moved[:, 0]
        total += across.sum() / np.square(places).sum()
    return total


def test_main_object_differs_from_the_others_in_colour_or_shape():
    for seed in range(200):
        told = facts(sample_scene("complex", seed))
        main = (told.main.colour, told.main.shape)
        assert main not in [(thing.colour, thing.shape) for thing in told.others]


def test_captions_vary_and_the_vocabulary_is_small():
    texts = {caption(sample_scene("complex", seed)) for seed in range(200)}
    assert len(texts) > 195
    assert len(VOCABULARY) < 100


def test_one_caption_word_for_word():
    assert caption(sample_scene("simple", 5)) == (
        "a blue diamond slides left in front of a black striped wall, the camera is still"
    )


def test_all_directions_and_camera_motions_occur():
    told = [facts(sample_scene("complex", seed)) for seed in range(100)]
    assert {fact.direction for fact in told} == set(SAID)
    assert len({fact.camera for fact in told}) == 7
    assert {fact.setting for fact in told} == {"wall", "slanted wall", "corner"}
