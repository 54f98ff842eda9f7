"""Which of the sampler's draws are the same and which are not."""

import pytest
import torch

from stereozero.diffusion.noise import seeded_noise
from stereozero.stereo.noise import SeededNoise
from stereozero.stereo.settings import preset

SHAPE = (4, 2, 3, 5)


def noise(name: str = "paper", seed: int = 1, **changes) -> SeededNoise:
    return SeededNoise(SHAPE, seed, preset(name, **changes), "cpu")


def test_shared_noise_is_what_the_sources_steps_added():
    of_source = seeded_noise(SHAPE, 1, "step", 3)
    assert torch.equal(noise().restart_step(3), of_source)
    assert torch.equal(noise().step(3, 2, is_last=True), of_source)
    apart = noise(shared_noise=False)
    assert not torch.equal(apart.step(3, 2, is_last=True), of_source)
    assert not torch.equal(apart.restart_step(3), of_source)


def test_a_restart_that_denoises_the_source_anew_has_noise_of_its_own():
    resampled = noise(restart_source="resampled")
    assert not torch.equal(resampled.restart_step(3), seeded_noise(SHAPE, 1, "step", 3))
    assert torch.equal(resampled.restart_step(3), resampled.restart_step(3))


def test_carried_noise_is_one_draw_a_step_or_two_for_all_passes():
    each_step, each_pass = noise(restart_noise="step"), noise(restart_noise="pass")
    assert torch.equal(each_step.carried(0, 2), each_step.carried(5, 2))
    assert not torch.equal(each_step.carried(0, 2), each_step.carried(0, 3))
    assert torch.equal(each_pass.carried(1, 2), each_pass.carried(5, 4))
    assert not torch.equal(each_pass.carried(0, 2), each_pass.carried(1, 2))


@pytest.mark.parametrize("draw", ["step", "renewal"])
def test_repeated_evaluations_have_noise_of_their_own(draw):
    def drawn(one: SeededNoise, step: int, evaluation: int) -> torch.Tensor:
        return one.renewal(step, evaluation) if draw == "renewal" else one.step(step, evaluation, is_last=False)

    reference = drawn(noise(), 9, 0)
    assert torch.equal(drawn(noise(), 9, 0), reference)
    others = [drawn(noise(), 9, 1), drawn(noise(), 14, 0), drawn(noise(seed=2), 9, 0)]
    assert not any(torch.equal(other, reference) for other in others)
