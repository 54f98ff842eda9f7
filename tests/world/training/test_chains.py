import numpy as np
import pytest

from stereozero.world.training.chains import LENGTH, falling_times, guessed_times, stages_of
from stereozero.world.training.data import step_rng


def test_a_clip_stays_for_all_of_its_evaluations():
    seen = [stages_of(0, step, 3) for step in range(LENGTH, 2 * LENGTH)]
    evaluations = np.array([stages.evaluations for stages in seen])  # (steps, clips)
    assert (np.sort(evaluations, axis=0) == np.arange(LENGTH)[:, None]).all()
    assert (evaluations[:, 0] == np.arange(LENGTH)).all()
    firsts = [stages.rngs[0].random() for stages in seen]
    assert firsts == [firsts[0]] * LENGTH
    assert stages_of(0, 2 * LENGTH, 3).rngs[0].random() != firsts[0]


def test_clips_draw_other_numbers_than_the_step_does():
    assert stages_of(3, 7 * LENGTH, 1).rngs[0].random() != step_rng(3, 7).random()


def test_clips_of_a_step_and_of_trainings_differ():
    stages, others = stages_of(0, 5, 4), stages_of(1, 5, 4)
    assert len({rng.random() for rng in (*stages.rngs, *others.rngs)}) == 8


@pytest.mark.parametrize("noisier", [1.0, 2.0])
def test_times_fall_from_evaluation_to_evaluation(noisier):
    positions = np.array([0.0, 0.5, 0.999])
    times = [falling_times(positions, np.full(3, evaluation), 1000, noisier) for evaluation in range(LENGTH)]
    assert (np.diff(times, axis=0) < 0).all()
    assert max(times[0]) == 999
    assert min(times[-1]) == 0


def test_times_cover_the_range_evenly_or_are_noisier():
    rng = np.random.default_rng(0)
    positions, evaluations = rng.random(6000), np.arange(6000) % LENGTH
    even, noisier = (falling_times(positions, evaluations, 1000, more) for more in (1.0, 2.0))
    assert np.histogram(even, bins=4, range=(0, 1000))[0] == pytest.approx(1500, rel=0.1)
    assert (noisier > 2 / 3 * 1000).mean() == pytest.approx(0.5, abs=0.02)


def test_guesses_begin_with_noise_alone_and_fall_to_the_least_that_sampling_asks_for():
    rng = np.random.default_rng(0)
    positions, evaluations = rng.random(6000), np.arange(6000) % LENGTH
    times = guessed_times(positions, evaluations, 1000, least=600)
    assert (times[evaluations == 0] == 999).all()
    later = times[evaluations > 0]
    assert np.histogram(later, bins=4, range=(600, 1000))[0] == pytest.approx(len(later) / 4, rel=0.1)
    falling = [guessed_times(positions[:9], np.full(9, evaluation), 1000, least=600) for evaluation in range(LENGTH)]
    assert (np.diff(falling, axis=0) < 0).all()
