"""The stages from a world clip to its scores, called one after the other."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from stereozero.disparity_io import load_disparity
from stereozero.errors import InputError
from stereozero.jobs import STAGES
from stereozero.plan import resolve
from stereozero.stages.baseline import BASELINE
from stereozero.stages.deliver import delivered_files
from stereozero.stages.gallery import prompt_of, write_gallery
from stereozero.stages.tabulate import tabulate
from stereozero.video import read_mask, read_video


def run_all(plan) -> None:
    for stage in STAGES:
        for variant in stage.variants(plan):
            stage.run(plan, variant, stage.clips(plan, variant))


@pytest.fixture(params=[4, -4])
def plan(request, world_config):
    """Return a plan all of whose stages have run, for a right and for a left target."""
    plan = resolve({**world_config, "strength": request.param}, "config.yaml")
    run_all(plan)
    return plan


def score(plan, method, metric, name, clip="w1"):
    return json.loads(plan.paths.scores(method, metric, clip).read_text())["clip"][name]


def test_every_stage_leaves_what_the_next_needs(plan):
    clip = plan.clips[0]
    strength = plan.strength(clip)
    source = read_video(plan.paths.source_video(clip))
    truth = read_video(plan.paths.truth_video(clip, strength))
    assert source.frames.shape == truth.frames.shape == (4, 64, 96, 3)
    assert np.array_equal(read_video(plan.paths.target_video("ground-truth", "w1")).frames, truth.frames)
    assert np.array_equal(read_video(plan.paths.target_video("mono-copy", "w1")).frames, source.frames)

    geometry = load_file(plan.paths.world("w1") / "geometry.safetensors")
    disparity = load_disparity(plan.paths.disparity("world", "w1"))
    assert np.array_equal(disparity, geometry["disparity"])
    assert (disparity.min(), disparity.max()) == (0, 1)

    hidden = read_mask(plan.paths.disoccluded(clip, strength))
    blank = read_mask(plan.paths.target("warp-fill", "w1") / "blank.mkv")
    assert hidden[blank].mean() > 0.5 or hidden.mean() < 0.01
    assert score(plan, "ground-truth", "fidelity", "psnr") == 100
    assert score(plan, "mono-copy", "fidelity", "psnr") + 3 < score(plan, "warp-fill", "fidelity", "psnr") < 100
    assert abs(score(plan, "mono-copy", "disparity", "disparity_p99")) < 0.1
    assert score(plan, "ground-truth", "disparity", "disparity_p99") == pytest.approx(4, abs=0.6)
    assert score(plan, "warp-fill", "disparity_error", "disparity_error_median") < 0.3

    tabulate(plan)
    write_gallery(plan)
    page = (plan.paths.gallery / "index.html").read_text()
    assert prompt_of(plan, clip) in page
    for path in delivered_files(plan, "warp-fill", clip).values():
        assert path.is_file()
        assert path.name in page


def test_an_unknown_variant_or_clip_is_refused(world_plan):
    with pytest.raises(InputError, match="baseline: there is no variant 'ours' in the plan; known: 'ground-truth'"):
        BASELINE.run(world_plan, "ours", [])
    with pytest.raises(InputError, match=r"clip 'w9' is not in .*clips\.csv"):
        world_plan.clip("w9")
    with pytest.raises(InputError, match="method 'ours' is not in the config"):
        world_plan.method("ours")
