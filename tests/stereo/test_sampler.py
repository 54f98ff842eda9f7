"""The sampler against the released code's numbers, and against itself where evaluations are saved."""

import pytest
import torch
from parity import assert_equals_reference
from sampler_goldens import CASES, read_case

from stereozero.errors import StageError
from stereozero.stereo.border import border_columns
from stereozero.stereo.latent_warp import PixelWarp
from stereozero.stereo.noise import SeededNoise
from stereozero.stereo.sampler import StereoSampler
from stereozero.stereo.warp import Warped

RESTART, FINAL = 1e-4, 1e-3  # absolute; the released code's own latents have a standard deviation of 3


def _scale(name: str) -> float:
    return 20.0 if name == "sampler_256" else 1.0  # its latents are that much larger


def _record_warps(sampler: StereoSampler) -> dict[int, torch.Tensor]:
    """Have a sampler keep step -> what its last warp at this step left blank (F, h, w)."""
    warp, blanks = sampler._warp, {}

    def recording(source: torch.Tensor, step: int) -> Warped:
        warped = warp(source, step)
        blanks[step] = warped.blank
        return warped

    sampler._warp = recording
    return blanks


def _record_evaluations(sampler: StereoSampler, monkeypatch) -> list[int]:
    """Have a sampler keep the step of every evaluation of the target."""
    predict, steps = sampler._denoiser.predict, []

    def recording(target: torch.Tensor, step: int) -> torch.Tensor:
        steps.append(step)
        return predict(target, step)

    monkeypatch.setattr(sampler._denoiser, "predict", recording)
    return steps


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_reference_preset_equals_the_released_code(name, monkeypatch):
    case = read_case(name)
    golden, scale = case.arrays, _scale(name)
    trajectory = case.trajectory()
    full = name == "sampler"
    kept = range(1, 51) if full else (7, 50)
    assert_equals_reference(trajectory[list(kept)], golden["left_after_step"], FINAL * scale)

    sampler = case.sampler(trajectory)
    blanks, evaluated = _record_warps(sampler), _record_evaluations(sampler, monkeypatch)
    sources = sampler._restart_sources()
    passes = list(sampler.restart_passes(sources))
    for step, expected in zip((0, 1) if full else (1,), golden["restart_right_warped_filled_iter0"], strict=True):
        assert_equals_reference(passes[0].inputs[step], expected, RESTART * scale)
    for step, expected in zip((0, 5) if full else (5,), golden["restart_right_warped_filled_iter6"], strict=True):
        assert_equals_reference(passes[6].inputs[step], expected, RESTART * scale)
    iterations, steps = (range(6), range(6)) if full else ((0, 1), (0, 5))
    for row, iteration in enumerate(iterations):
        carried = torch.stack([passes[iteration].carried[step] for step in steps])
        assert_equals_reference(carried, golden["filling_after_iter"][row], RESTART * scale)
    assert_equals_reference(passes[6].last.previous, golden["filling_after_iter"][-1, -1], 1e-4 * scale)
    assert_equals_reference(sources[-1], golden["restart_left_last"][-1], RESTART * scale)
    assert torch.equal(~torch.stack([blanks[step] for step in range(6)]), golden["valid_mask_restart"].bool())
    for step in range(6):
        border = border_columns(blanks[step], case.facts["args"]["scale"], case.settings.border_frames)
        assert (golden["border_blank_columns_restart"][:, step] == border.sum()).all()

    after = list(sampler.remaining_steps(passes[-1], sources[-1]))
    shown = range(44) if full else (0, 8)
    for index, expected in zip(shown, golden["final_right_after_step"], strict=True):
        assert_equals_reference(after[index], expected, FINAL * scale)
    assert_equals_reference(after[-1], golden["final_right"], FINAL * scale)
    warp_steps = case.facts["warp_steps_final"]
    assert sorted(step for step in blanks if step >= 6) == warp_steps
    assert torch.equal(~torch.stack([blanks[step] for step in warp_steps]), golden["valid_mask_final"].bool())
    released = [entry for entry in case.facts["evaluations"] if entry["pass"] > 0]  # 0 is the source alone
    assert evaluated == [49 - entry["index"] for entry in released]
    assert [int(case.schedule.timesteps[step]) for step in evaluated] == [entry["t"] for entry in released]


@pytest.fixture(scope="module")
def short_case():
    """A golden case with a made-up trajectory: a plain one takes half of the time."""
    case = read_case("sampler_on_pred_x0")
    generator = torch.Generator().manual_seed(0)
    return case, torch.randn(51, *case.facts["noise_shape"][1:], generator=generator)


def test_saved_evaluations_change_nothing(short_case):
    case, trajectory = short_case
    settings = {"refinement": "input", "cross_view_window": None, "restart_iterations": 2, "last_warp_step": 9}
    results, counts = [], []
    for memory in (None, 0.0):  # replayed queries, both views together
        case.backbone.samples = 0
        *_, final = case.sampler(trajectory, memory, **settings).sample()
        results.append(final)
        counts.append(case.backbone.samples)
    torch.testing.assert_close(*results, rtol=0, atol=1e-4)
    # Two branches each; 6 restart steps, twice for the target; 44 steps after it with 7 + 7 further evaluations.
    assert counts[0] == 2 * (6 + 2 * 6 + 44 + 44 + 14)
    assert counts[1] == 2 * (6 + 2 * (2 * 6 + 44 + 14))


def test_without_memory_for_the_whole_restart_queries_are_recomputed(short_case):
    case, trajectory = short_case
    settings = {"refinement": "off", "cross_view_window": None, "restart_iterations": 2, "last_warp_step": 6}
    expected = list(case.sampler(trajectory, **settings).sample())[-1]
    case.backbone.samples = 0
    one_evaluation = 2 * 2**20
    actual = list(case.sampler(trajectory, one_evaluation, **settings).sample())[-1]
    assert torch.equal(actual, expected)
    assert case.backbone.samples > 2 * (6 + 2 * 6 + 44 + 44)


def test_without_cross_view_attention_the_source_is_not_evaluated(short_case):
    case, trajectory = short_case
    case.backbone.samples = 0
    settings = {"cross_view": "off", "restart_source": "trajectory", "refinement": "off", "restart_iterations": 1}
    list(case.sampler(trajectory, **settings).sample())
    assert case.backbone.samples == 2 * 50


def test_a_fresh_start_leaves_out_what_is_replaced_later(short_case):
    case, trajectory = short_case
    changes = {"restart_source": "trajectory", "restart_iterations": 1, "refinement": "off", "cross_view": "off"}
    settings = case.settings.model_copy(update={**changes, "warp": "pixel", "hole_prior": 40, "last_warp_step": 45})
    shape = trajectory.shape[1:]
    blank = torch.zeros(shape[1:], dtype=torch.bool)
    blank[..., 5:7] = True
    results, counts = [], []
    for hole_prior in (40, 0):  # the settings' steps, or all of them, with the same warp
        sampler = case.sampler(trajectory, **{**dict(settings), "hole_prior": hole_prior})
        disparity = torch.rand(shape[1:], generator=torch.Generator().manual_seed(1))
        sampler._warp = PixelWarp(trajectory[-1].flip(-1), blank, disparity, 10.0, trajectory[-1], case.schedule, 40)
        sampler._noise = SeededNoise(shape, 3, settings, "cpu")
        case.backbone.samples = 0
        results.append(list(sampler.sample()))
        counts.append(case.backbone.samples)
        assert len(results[-1]) == len(sampler)
    assert torch.equal(results[0][-1], results[1][-1])
    assert counts == [2 * (50 - 39), 2 * 50]


def test_latents_that_are_no_numbers_stop_the_sampling(short_case):
    case, trajectory = short_case
    broken = trajectory.clone()
    broken[9] = float("nan")
    settings = {"restart_source": "trajectory", "restart_iterations": 1, "refinement": "off", "cross_view": "off"}
    with pytest.raises(StageError, match="after step 10 of 50"):
        list(case.sampler(broken, **settings).sample())
