"""The equations of noisy restart (Eq. 2) and iterative refinement (Eq. 4), on numbers worked out by hand."""

import numpy as np
import pytest
import torch

from stereozero.diffusion.schedule import DdimSchedule, ddim_step
from stereozero.stereo.refinement import refined_by_clean, refined_by_output, refined_by_previous_clean
from stereozero.stereo.restart import carried_latents, sigma_ratio

SHAPE = (1, 1, 1, 2)  # C, F, h, w
BLANK = torch.tensor([[[True, False]]])  # (F, h, w)


@pytest.fixture(scope="module")
def schedule() -> DdimSchedule:
    """Three steps whose numbers have short roots."""
    numbers = {
        "alpha_bar": [0.0, 0.25, 0.64],
        "alpha_bar_prev": [0.25, 0.64, 1.0],
        "sigma": [0.8, 0.4, 0.0],
        "scale": [0.5, 0.5, 1.0],
        "scale_prev": [0.5, 1.0, 1.0],
    }
    arrays = {name: np.array(values, dtype=np.float32) for name, values in numbers.items()}
    return DdimSchedule(np.array([999, 500, 100]), **arrays, prediction="v_prediction")


def full(value: float) -> torch.Tensor:
    return torch.full(SHAPE, value)


def test_the_first_step_carries_its_latents_unchanged(schedule):
    carried = carried_latents(full(2.0), full(3.0), schedule, 0, "alpha", shrink=True)
    torch.testing.assert_close(carried, full(2.0))  # abar is 0: no fresh noise yet


@pytest.mark.parametrize(
    ("weight", "shrink", "expected"),
    [
        ("alpha", False, 2 * 0.75 + 0.4 * 3 * 0.25),
        ("root-alpha", False, 2 * 0.5 + 0.4 * 3 * 0.5),
        ("root-alpha", True, 2 * 0.5 * 0.5 + 0.4 * 3 * 0.5),
    ],
)
def test_later_steps_mix_in_fresh_noise(schedule, weight, shrink, expected):
    carried = carried_latents(full(2.0), full(3.0), schedule, 1, weight, shrink)
    torch.testing.assert_close(carried, full(expected))


def test_the_ratio_of_sigmas_is_one_where_there_is_none(schedule):
    assert sigma_ratio(schedule, 0) == 1
    assert sigma_ratio(schedule, 1) == pytest.approx(0.5)
    assert sigma_ratio(schedule, 2) == 0
    without_noise = DdimSchedule(**{**vars(schedule), "sigma": np.zeros(3, dtype=np.float32)})
    assert sigma_ratio(without_noise, 2) == 1


def test_released_refinement_puts_the_shrunk_output_into_the_blanks(schedule):
    result = ddim_step(full(0.3), full(1.0), schedule.coefficients(1), full(0.7), schedule.prediction)
    target = refined_by_output(full(9.0), BLANK, result, schedule, 1)
    torch.testing.assert_close(target[..., 0], result.previous[..., 0] * 0.5)
    assert (target[..., 1] == 9).all()


def test_refinement_blends_predictions_by_the_root_of_alpha_and_renews_the_noise(schedule):
    clean, before, noise = full(4.0), full(2.0), full(1.5)
    target = refined_by_clean(full(9.0), BLANK, clean, before, noise, schedule, 1)
    blended = 0.5 * 4 + 0.5 * 2  # the root of 0.25 is the newer one's share
    torch.testing.assert_close(target[..., 0], full(0.5 * blended + 0.75**0.5 * 1.5)[..., 0])
    assert (target[..., 1] == 9).all()


def test_at_the_first_step_refinement_keeps_the_prediction_before(schedule):
    noise = full(1.5)
    target = refined_by_clean(full(9.0), BLANK, full(4.0), full(2.0), noise, schedule, 0)
    torch.testing.assert_close(target[..., 0], noise[..., 0])  # abar is 0: noise alone


def test_refining_by_the_previous_step_repeats_its_end(schedule):
    before = ddim_step(full(0.3), full(1.0), schedule.coefficients(0), full(0.7), schedule.prediction)
    same = refined_by_previous_clean(BLANK, before.clean, before, schedule, 1)
    torch.testing.assert_close(same, before.previous)  # a prediction that did not change changes nothing
    other = refined_by_previous_clean(BLANK, before.clean + 1, before, schedule, 1)
    change = other - before.previous
    # The root of abar_prev at step 1 is the newer one's share, that at step 0 scales x_0.
    torch.testing.assert_close(change, torch.tensor([0.5 * 0.8, 0.0]).expand(SHAPE))
