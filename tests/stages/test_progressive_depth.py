"""A progressive depth from its levels to the target views, on a tiny model of named tensors."""

import numpy as np
import pytest
from safetensors.torch import load_file

from stereozero.artifacts import read_record
from stereozero.baselines.warp_fill import warp_fill
from stereozero.disparity_io import load_disparity
from stereozero.jobs import STAGES, plan_jobs
from stereozero.plan import Plan, resolve
from stereozero.video import read_mask, read_video

pytestmark = pytest.mark.usefixtures("as_in_a_new_process")

DEPTHS = {
    "world": {"estimator": "world"},
    "quarter": {"estimator": "derived", "depth": "world", "downsample": 4},
    "progressive": {"estimator": "progressive", "levels": [[0, "quarter"], [30, "world"]]},
    "level": {"estimator": "progressive", "levels": [[0, "world"], [30, "world"]]},
}


@pytest.fixture
def sampled(stereo_config):
    """Return a function that samples a clip with each of some depths, with some settings of the sampler."""

    def sample(*depths: str, **settings) -> Plan:
        ours = {**stereo_config["methods"]["ours"], "preset": "paper", **settings}
        methods = {depth: {**ours, "depth": depth} for depth in depths}
        methods["fill"] = {"kind": "warp-fill", "depth": depths[-1]}
        plan = resolve({**stereo_config, "depths": DEPTHS, "methods": methods}, "config.yaml")
        for stage in STAGES:
            if stage.name not in ("evaluate", "deliver"):
                for variant in stage.variants(plan):
                    stage.run(plan, variant, [plan.clip("w1")])
        return plan

    return sample


def latents(plan: Plan, method: str) -> np.ndarray:
    return load_file(plan.paths.target(method, "w1") / "latents.safetensors")["latents"].numpy()


@pytest.mark.parametrize("warp", ["whole", "subcell", "pixel"])
def test_both_levels_have_a_say(sampled, warp):
    plan = sampled("world", "quarter", "progressive", warp=warp)
    fine, coarse, progressive = (latents(plan, method) for method in ("world", "quarter", "progressive"))
    assert not np.array_equal(progressive, fine)
    assert not np.array_equal(progressive, coarse)


@pytest.mark.parametrize("warp", ["subcell", "pixel"])
def test_levels_that_do_not_differ_are_the_plain_depth(sampled, warp):
    plan = sampled("world", "level", warp=warp)
    assert np.array_equal(latents(plan, "world"), latents(plan, "level"))


def test_masks_and_other_methods_take_the_finest(sampled):
    plan = sampled("world", "progressive")
    blank = read_mask(plan.paths.target("progressive", "w1") / "blank.mkv")
    assert np.array_equal(blank, read_mask(plan.paths.target("world", "w1") / "blank.mkv"))
    filled = read_video(plan.paths.target_video("fill", "w1")).frames
    source = read_video(plan.paths.source_video(plan.clip("w1"))).frames
    finest = load_disparity(plan.paths.disparity("world", "w1"))
    assert np.array_equal(filled, warp_fill(source, finest, 10, "background").target)


def test_the_record_names_every_level_and_a_plain_depth_as_ever(sampled):
    plan = sampled("world", "progressive")
    names = {
        method: {name for name in read_record(plan.paths.target(method, "w1"))["inputs"] if "disparity" in name}
        for method in ("world", "progressive")
    }
    assert names == {"world": {"disparity"}, "progressive": {"disparity", "disparity/30"}}


def test_sampling_waits_for_every_level(stereo_config):
    methods = {"ours": {**stereo_config["methods"]["ours"], "depth": "progressive"}}
    plan = resolve({**stereo_config, "depths": DEPTHS, "methods": methods}, "config.yaml")
    jobs = {f"{job.stage.name} {job.variant}": job for job in plan_jobs(plan)}
    assert {"derive/quarter", "depth/world"} <= {"/".join(path.parts[-3:-1]) for path in jobs["stereo ours"].needs}
    assert not {"depth progressive", "derive progressive"} & jobs.keys()
