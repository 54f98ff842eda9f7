"""The configurations for the real models are valid as they are; nothing is downloaded to find out."""

import math
from pathlib import Path

import pytest

from stereozero.config import read_yaml
from stereozero.jobs import plan_jobs
from stereozero.plan import describe_plan, resolve
from stereozero.stages.tabulate import read_published
from stereozero.weights import needed_models

REPOSITORY = Path(__file__).parents[1]
CLIPS = {"paper": 8, "paper-512": 8, "paper-256": 8, "paper-512-interp": 6}


@pytest.fixture(params=CLIPS)
def plan(request, monkeypatch, tmp_path):
    monkeypatch.chdir(REPOSITORY)
    content = read_yaml(Path("benchmark") / f"{request.param}.yaml")
    assert content["run"] == request.param
    return resolve({**content, "results": str(tmp_path)}, f"{request.param}.yaml")


def test_every_clip_is_generated_and_has_a_verified_picture(plan):
    assert len(plan.clips) == CLIPS[plan.config.run]
    assert len(plan.method_clips("mono-copy")) == len(plan.clips)
    for clip in plan.clips:
        assert clip.image.startswith("https://raw.githubusercontent.com/Doubiiu/DynamiCrafter/c453369")
        assert clip.checksum("image")
        assert clip.prompt
    assert {job.stage.name for job in plan_jobs(plan)} >= {"inputs", "generate", "baseline"}


def test_the_example_scripts_settings_are_in_the_rows(monkeypatch, tmp_path):
    monkeypatch.chdir(REPOSITORY)
    plan = resolve({**read_yaml(Path("benchmark/paper.yaml")), "results": str(tmp_path)}, "paper.yaml")
    clip = plan.clip("girl07-1024")
    assert (clip.frame_stride, clip.seed, clip.strength, clip.last_warp_step, clip.dissolve_step) == (
        30,
        123,
        4,
        34,
        30,
    )
    assert plan.clip("astronaut04-1024").last_warp_step == 39
    assert plan.config.generator.guidance_rescale == 0


def test_the_reference_raises_the_disparity_to_the_rows_power(plan):
    powers = {clip.clip_id: plan.sampler("reference", clip).disparity_power for clip in plan.clips}
    raised = {"zreal_penguin-512", "smile-interp", "stone01-interp", "walk-interp"} & powers.keys()
    assert powers == {name: math.e if name in raised else 1.0 for name in powers}
    window = plan.config.methods["reference"].cross_view_window
    assert window == ((25, 45) if plan.config.run == "paper" else (0, 50))


def test_depth_is_dissolved_as_the_rows_say_else_as_the_paper_does(plan):
    default = {"paper": 45, "paper-512": 40, "paper-512-interp": 40, "paper-256": None}[plan.config.run]
    for clip in plan.clips:
        assert plan.dissolve_step("dissolved", clip) == (clip.dissolve_step or default)
    assert needed_models(plan.config).keys() > {"depthcrafter-unet", "svd-xt-vae", "svd-xt-image-encoder"}
    assert {job.stage.name for job in plan_jobs(plan)} >= {"estimate", "derive", "stereo"}


def test_every_row_of_the_papers_table_is_a_method(plan):
    rows = set(read_published(plan, "table1")["method"])
    assert rows | {"rodynrf", "warp-fill"} <= plan.config.methods.keys()
    assert plan.method("ours").preset == "best"
    assert rows <= read_yaml(REPOSITORY / "config.yaml")["methods"].keys()
    assert {"propainter", "immersepro", "rodynrf", "stereodiffusion"} == plan.obstacles.keys()


def test_the_plan_says_what_is_unusual(plan):
    lines = "\n".join(describe_plan(plan))
    assert f"{len(plan.clips)} clips are generated from images" in lines
    assert "interpolate or loop" not in lines
    assert ("girl07-1024" in lines) == (plan.config.run == "paper")
