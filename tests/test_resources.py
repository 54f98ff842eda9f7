"""What schedulers are asked for, what is grouped, and what a person is told before a run."""

from pathlib import Path

import pytest

from stereozero.costs import Cost
from stereozero.jobs import Job, plan_jobs, read_marker
from stereozero.plan import resolve
from stereozero.resources import Request, describe_work, job_groups, job_requests


@pytest.fixture
def generated(image_config):
    """Return the jobs of clips that a GPU generates and samples, and what they ask for."""
    image_config |= {"device": "auto", "depths": {"crafter": {"estimator": "depthcrafter", "steps": 2}}}
    image_config["methods"] |= {"ours": {"kind": "ours", "depth": "crafter"}}
    plan = resolve(image_config, "c")
    jobs = plan_jobs(plan)
    return jobs, job_requests(plan, jobs, {})


def test_more_is_asked_for_at_each_attempt_and_never_less_than_a_start_takes():
    request = Request(Cost(seconds=100, base_mb=1000, clip_mb=500, disk_mb=1), clips=8, gpu=0, is_measured=False)
    assert [request.mem_mb(attempt) for attempt in (1, 2, 3)] == [3000, 6000, 9000]  # 1.5 x (1000 + 500 + Snakemake)
    assert [request.runtime(attempt) for attempt in (1, 2)] == [41, 82]  # 3 x (8 x 100 s + start)
    tiny = Request(Cost(0.01, 100, 1, 0), clips=1, gpu=0, is_measured=False)
    assert tiny.runtime(1) == 10


def test_long_jobs_are_not_light_and_those_with_a_gpu_never():
    assert Request(Cost(1, 100, 1, 0), 8, gpu=0, is_measured=False).is_light
    assert not Request(Cost(600, 100, 1, 0), 8, gpu=0, is_measured=False).is_light
    assert not Request(Cost(1, 100, 1, 0), 8, gpu=1, is_measured=False).is_light
    assert Request(Cost(1, 100, 1, 0), 8, gpu=1, is_measured=False).is_short


def test_long_jobs_are_submitted_alone_and_short_ones_never_share_a_group_with_those_of_the_other_kind(image_config):
    features = Path(__file__).parents[1] / "models" / "features" / "clip"
    scores = {"metrics": ["disparity", "clip_frame"], "scoring": {"clip": {"folder": str(features)}}}
    image_config |= {"device": "auto", **scores}
    plan = resolve(image_config, "c")
    jobs = plan_jobs(plan)
    long = {("generate", ""): Cost(seconds=3600, base_mb=1000, clip_mb=0, disk_mb=1)}
    requests = job_requests(plan, jobs, long)
    groups = job_groups(jobs, requests)
    assert {groups[job.name] for job in jobs if job.stage.name == "generate"} == {None}
    assert {groups[job.name] for job in jobs if job.stage.name == "evaluate"} == {"gpu2"}  # behind inputs and generate
    light = {groups[job.name] for job in jobs if not requests[job.name].gpu}
    assert light == {"light0", "light2", "light3"}  # inputs; the copy; what players get, which waits for scores


def test_stages_with_networks_ask_for_a_gpu_and_the_others_for_none(generated):
    jobs, requests = generated
    with_gpu = {job.stage.name for job in jobs if requests[job.name].gpu}
    assert with_gpu == {"generate", "estimate", "stereo"}


def test_no_group_waits_for_a_job_that_waits_for_the_group(generated):
    jobs, requests = generated
    groups = job_groups(jobs, requests)
    by_marker = {job.marker: job for job in jobs}

    def groups_above(job: Job) -> set[str]:
        """Groups that the job waits for through other submissions."""
        found: set[str] = set()
        for need in job.needs:
            if need in by_marker:
                below = by_marker[need]
                crossed = groups[below.name] != groups[job.name] or groups[job.name] is None
                found |= groups_above(below) | ({groups[below.name]} - {None} if crossed else set())
        return found

    assert len({group for group in groups.values() if group}) > 2
    for job in jobs:
        assert groups[job.name] not in groups_above(job)


def test_inputs_are_not_grouped_with_what_waits_for_all_inputs(generated):
    jobs, requests = generated
    groups = job_groups(jobs, requests)
    inputs = {groups[job.name] for job in jobs if job.stage.name == "inputs"}
    assert inputs.isdisjoint(groups[job.name] for job in jobs if job.stage.name != "inputs")


def test_a_world_run_on_a_cpu_is_one_group_a_batch(world_plan):
    jobs = plan_jobs(world_plan)
    assert set(job_groups(jobs, job_requests(world_plan, jobs, {})).values()) == {"light1"}


def test_what_is_left_is_said_with_gpu_hours_and_space(image_config):
    image_config |= {"device": "auto", "batch_size": 1}
    plan = resolve(image_config, "c")
    jobs = plan_jobs(plan)
    hour = {("generate", ""): Cost(seconds=3590, base_mb=1000, clip_mb=0, disk_mb=2000)}
    lines = describe_work(plan, jobs, job_requests(plan, jobs, hour))
    assert f"{len(jobs)} of {len(jobs)} jobs have no result yet: about 3.0 hours of a GPU and " in lines[0]
    assert "6.0 GB (some of it estimated, see docs/cluster.md)" in lines[0]
    assert "3 jobs with a GPU" in lines[1]


def test_nothing_is_said_when_all_is_done(world_plan, monkeypatch):
    jobs = plan_jobs(world_plan)
    done = {job.marker: job.fingerprint for job in jobs}
    monkeypatch.setattr("stereozero.resources.read_marker", lambda path: {"fingerprint": done[path]})
    assert describe_work(world_plan, jobs, job_requests(world_plan, jobs, {})) == []
    assert read_marker(Path("nowhere"))["fingerprint"] == ""


def test_too_little_space_is_said(world_plan):
    jobs = plan_jobs(world_plan)
    huge = {(job.stage.name, job.variant): Cost(1, 1, 1, 1e12) for job in jobs}
    line = describe_work(world_plan, jobs, job_requests(world_plan, jobs, huge))[-1]
    assert "too little: make room, or set 'results' in the config to another folder" in line
