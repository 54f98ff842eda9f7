"""Presets, and where their steps lie in schedules of other lengths."""

import pytest
from pydantic import ValidationError

from stereozero.errors import InputError
from stereozero.stereo.settings import SamplerSettings, plan_steps, preset, scaled_step


def test_paper_preset_refines_every_five_steps_from_eight_to_three():
    plan = plan_steps(preset("paper"), 50)
    assert plan.restart == 5
    assert plan.evaluations == {9: 8, 14: 7, 19: 6, 24: 5, 29: 4, 34: 3}
    assert plan.warps == {9, 14, 19, 24, 29, 34}


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (34, {6: 8, 9: 8, 14: 3, 19: 6, 24: 6, 29: 6, 34: 6}),
        (38, {6: 8, 9: 8, 14: 3, 19: 6, 24: 6, 29: 6, 34: 6, 38: 6}),
        (45, {6: 8, 9: 8, 14: 3, 19: 6, 24: 6, 29: 6, 34: 6, 39: 6, 44: 4, 45: 4}),
    ],
)
def test_reference_preset_repeats_the_last_entry_at_an_unlisted_last_warp_step(last, expected):
    plan = plan_steps(preset("reference", last_warp_step=last), 50)
    assert plan.evaluations == expected
    assert plan.warps == set(expected)


def test_refining_after_the_last_warp_warps_no_more():
    plan = plan_steps(preset("reference", last_warp_step=22, refine_after_last_warp=True), 50)
    assert plan.warps == {6, 9, 14, 19, 22}
    assert plan.evaluations == {6: 8, 9: 8, 14: 3, 19: 6, 22: 2, 24: 2, 29: 2, 34: 2, 39: 2, 44: 2}


def test_without_refinement_every_step_is_evaluated_once():
    assert set(plan_steps(preset("paper", refinement="off"), 50).evaluations.values()) == {1}


@pytest.mark.parametrize("steps", [8, 10, 20, 25, 50, 100])
def test_steps_scale_with_the_schedule(steps):
    plan = plan_steps(preset("reference"), steps)
    assert 1 <= plan.restart < steps / 2
    assert plan.restart <= min(plan.warps)
    assert max(plan.warps) < steps
    assert scaled_step(0, steps) == 0
    assert scaled_step(49, steps) == steps - 1


@pytest.mark.parametrize(("steps", "start"), [(50, 47), (25, 23)])
def test_sampling_starts_where_the_prior_of_holes_last_replaces_everything(steps, start):
    assert plan_steps(preset("best"), steps).fresh_start == start


@pytest.mark.parametrize("changes", [{"hole_prior": 0}, {"warp": "subcell"}, {"refinement_schedule": ((47, 2),)}])
def test_sampling_starts_at_the_beginning_where_earlier_steps_leave_a_trace(changes):
    changes = {"refinement": "clean", "last_warp_step": 49, **changes}
    assert plan_steps(preset("best", **changes), 50).fresh_start == 0


def test_too_few_steps_are_refused():
    with pytest.raises(InputError, match="1 sampling steps are too few"):
        plan_steps(preset("paper"), 1)


def test_a_last_warp_inside_the_restart_is_refused():
    with pytest.raises(ValidationError, match="last_warp_step 3 lies before the end of the restart"):
        SamplerSettings(last_warp_step=3)


def test_an_unknown_preset_is_refused():
    with pytest.raises(InputError, match="'papper' is unknown: use one of best, paper, reference"):
        preset("papper")
