"""Evaluating the target with the source's queries: replayed or together, with how much memory, how often."""

import pytest
import torch
from attending_backbone import QUERY_BYTES, SHAPE, AttendingBackbone, condition

from stereozero.diffusion.noise import seeded_noise
from stereozero.diffusion.schedule import ddim_schedule
from stereozero.stereo import two_views
from stereozero.stereo.latent_warp import WholeCellWarp
from stereozero.stereo.noise import SeededNoise
from stereozero.stereo.sampler import StereoSampler
from stereozero.stereo.settings import preset
from stereozero.stereo.two_views import TwoViewDenoiser, free_memory

SOURCE, TARGET = (seeded_noise(SHAPE, seed, "view") for seed in (1, 2))
PLENTY = 1e9


@pytest.fixture
def backbone() -> AttendingBackbone:
    return AttendingBackbone()


def denoiser(
    backbone, memory=PLENTY, source=1, target=1, guidance=3.0, image_guidance=None, one_batch=True, **settings
) -> TwoViewDenoiser:
    return TwoViewDenoiser(
        backbone,
        condition(source),
        condition(target),
        ddim_schedule(backbone.schedule, 50),
        preset("paper", **settings),
        guidance=guidance,
        image_guidance=image_guidance,
        one_batch=one_batch,
        memory=memory,
    )


def prediction(one: TwoViewDenoiser, source=SOURCE, step: int = 20) -> torch.Tensor:
    one.face(source, step, 1)
    return one.predict(TARGET, step)


@pytest.mark.parametrize("kind", ["self", "all"])
@pytest.mark.parametrize(("guidance", "image_guidance"), [(1.0, None), (3.0, None), (3.0, 2.0)])
@pytest.mark.parametrize("one_batch", [True, False])
def test_together_equals_replayed_with_conditions_of_their_own(backbone, kind, guidance, image_guidance, one_batch):
    scales = {"guidance": guidance, "image_guidance": image_guidance}
    options = {"target": 2, "one_batch": one_batch, "cross_view": kind} | scales
    replayed, together = (prediction(denoiser(backbone, memory, **options)) for memory in (PLENTY, 0))
    torch.testing.assert_close(replayed, together, rtol=0, atol=1e-5)


@pytest.mark.parametrize("memory", [PLENTY, 0])
def test_each_view_has_its_own_condition(backbone, memory):
    pairs = [(1, 1), (1, 2), (2, 1)]
    same, *others = (prediction(denoiser(backbone, memory, *pair)) for pair in pairs)
    assert all(not torch.allclose(same, other, atol=1e-3) for other in others)
    # Without shared queries the source's condition has no way to the target.
    one, two = (prediction(denoiser(backbone, memory, source, 2, cross_view="off")) for source in (1, 2))
    assert torch.equal(one, two)


def test_the_sources_queries_change_the_prediction(backbone):
    on, off = (prediction(denoiser(backbone, cross_view=kind)) for kind in ("self", "off"))
    assert not torch.allclose(on, off, atol=1e-3)
    same_view = prediction(denoiser(backbone, cross_view="self"), source=TARGET)
    torch.testing.assert_close(same_view, off, rtol=0, atol=1e-6)  # a view's own queries change nothing


def test_queries_that_fit_are_recorded_once_for_all_evaluations_of_a_step(backbone):
    one = denoiser(backbone)
    one.face(SOURCE, 20, 3)
    for _ in range(3):
        one.predict(TARGET, 20)
    assert backbone.samples == 2 * (1 + 3)


def test_queries_that_do_not_fit_mean_both_views_together_from_then_on(backbone):
    one = denoiser(backbone, memory=QUERY_BYTES - 1, cross_view="all")
    prediction(one)
    assert backbone.samples == 2 * (1 + 2)  # found out by one evaluation of the source
    prediction(one)
    assert backbone.samples == 2 * (1 + 2 + 2)


@pytest.mark.parametrize(("evaluations_kept", "recorded"), [(1, 1), (2, 0)])
def test_queries_that_are_faced_again_are_kept_as_far_as_memory_allows(backbone, evaluations_kept, recorded):
    one = denoiser(backbone, memory=evaluations_kept * QUERY_BYTES, cross_view="all")
    for step in (0, 1):
        one.face(SOURCE, step, 1, keep=True)
    backbone.samples = 0
    for step in (0, 1):
        one.face(SOURCE, step, 1, keep=True)
    assert backbone.samples == 2 * recorded
    one.forget()
    one.face(SOURCE, 0, 1, keep=True)
    assert backbone.samples == 2 * (recorded + 1)


def test_a_prediction_of_the_source_leaves_its_queries(backbone):
    one = denoiser(backbone)
    one.predict_source(SOURCE, 4)
    backbone.samples = 0
    prediction(one, step=4)
    assert backbone.samples == 2


def test_the_limit_is_a_third_of_the_free_memory(backbone, monkeypatch):
    assert free_memory(torch.device("cpu")) > 0
    for free, samples in [(3 * QUERY_BYTES, 2 * 2), (3 * QUERY_BYTES - 3, 2 * 3)]:
        monkeypatch.setattr(two_views, "free_memory", lambda device, free=free: free)
        backbone.samples = 0
        prediction(denoiser(backbone, memory=None, cross_view="all"))
        assert backbone.samples == samples


def test_outside_its_window_cross_view_attention_costs_nothing(backbone):
    one = denoiser(backbone, cross_view="all", cross_view_window=(1, 2))
    for _ in range(31):  # four calls each; the 128th begins the window
        prediction(one)
    assert backbone.samples == 2 * 31
    prediction(one)
    assert backbone.samples == 2 * (31 + 2)


@pytest.mark.parametrize(("memory", "most"), [(PLENTY, 450), (0, 600)])
def test_evaluations_of_a_clip_as_the_released_code_samples_it(backbone, memory, most):
    """100 + 488 there. In exact mode 12 for the source in the restart, 42 steps of it and 80 later ones, 44 sources."""
    schedule = ddim_schedule(backbone.schedule, 50)
    settings = preset("reference", cross_view_window=None, last_warp_step=34)
    trajectory = seeded_noise((51, *SHAPE), 3, "trajectory")
    views = TwoViewDenoiser(backbone, condition(1), condition(1), schedule, settings, guidance=7.5, memory=memory)
    warp = WholeCellWarp(torch.linspace(0, 1, 8).expand(SHAPE[1:]).contiguous(), 15.0)
    noise = SeededNoise(SHAPE, 1, settings, "cpu")
    list(StereoSampler(views, schedule, trajectory, warp, noise, 15.0, settings).sample())
    of_the_trajectory = 2 * 50
    target = 2 * (7 * 6 + 44 + 36)
    expected = {PLENTY: target + 12 + 2 * 44, 0: 2 * target + 12}[memory]
    assert backbone.samples == expected
    assert of_the_trajectory + backbone.samples <= most
