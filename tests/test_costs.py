"""What a clip takes: by the table scaled to the run, and by records."""

import json

import pytest

from stereozero.artifacts import write_json
from stereozero.costs import COSTS, Cost, expected_cost, measured_costs, needs_gpu
from stereozero.jobs import STAGES, plan_jobs
from stereozero.plan import resolve


def test_every_stage_has_a_cost():
    assert {stage.name for stage in STAGES} | {"vae-limit", "evaluate-networks"} == COSTS.keys()


def test_costs_grow_with_pixels_and_frames(world_config):
    small = expected_cost(resolve(world_config, "c"), "world", "")
    video = {"height": 128, "width": 192, "frames": 8, "fps": 8}
    large = expected_cost(resolve({**world_config, "video": video}, "c"), "world", "")
    assert large.seconds == pytest.approx(8 * small.seconds)
    assert large.disk_mb == pytest.approx(8 * small.disk_mb)
    assert large.clip_mb == pytest.approx(8 * small.clip_mb)
    assert large.base_mb == small.base_mb


def test_sampling_takes_as_long_as_its_steps(image_config):
    image_config["device"] = "auto"
    costs = []
    for steps in (10, 20):
        image_config["generator"]["steps"] = steps
        costs.append(expected_cost(resolve(image_config, "c"), "generate", ""))
    assert costs[1].seconds == pytest.approx(2 * costs[0].seconds)


def test_a_network_on_the_cpu_is_taken_for_a_small_one(image_config):
    on_gpu = expected_cost(resolve({**image_config, "device": "auto"}, "c"), "generate", "")
    on_core = expected_cost(resolve({**image_config, "device": "cpu"}, "c"), "generate", "")
    assert on_core.base_mb < on_gpu.base_mb
    assert on_core.seconds > on_gpu.seconds


@pytest.mark.parametrize(
    ("device", "wanted"),
    [("cpu", set()), ("auto", {"generate", "vae-limit"}), ("cuda", {"generate", "vae-limit", "warp-fill"})],
)
def test_who_gets_a_gpu(image_config, image_rows, world_rows, write_manifest, device, wanted):
    image_config |= {"device": device, "depths": {"world": {"estimator": "world"}}}
    image_config["methods"] |= {
        "vae-limit": {"kind": "vae-limit"},
        "warp-fill": {"kind": "warp-fill", "depth": "world"},
    }
    write_manifest(*image_rows, *world_rows)
    plan = resolve(image_config, "c")
    stages = {stage.name: stage for stage in STAGES}
    asked = {name for name in image_config["methods"] if needs_gpu(plan, stages["baseline"], name)}
    assert asked | ({"generate"} if needs_gpu(plan, stages["generate"], "") else set()) == wanted


def test_a_finished_jobs_records_go_before_the_table(world_plan):
    job = next(job for job in plan_jobs(world_plan) if job.stage.name == "evaluate")
    folders = [world_plan.paths.scores(job.variant, metric, "w1").parent for metric in ("disparity", "fidelity")]
    for folder, seconds in zip(folders, (2, 3), strict=True):
        folder.mkdir(parents=True)
        made = {"seconds": seconds, "device": "cpu", "peak_memory_mb": {"host": 100.0 * seconds}}
        record = {"files": {"scores.json": {"bytes": 500_000}}, "made": made}
        (folder / "record.json").write_text(json.dumps(record))
    names = [str(folder.relative_to(world_plan.paths.root)) for folder in folders]
    write_json(job.marker, {"fingerprint": job.fingerprint, "artifacts": {name: {} for name in names}})
    costs = measured_costs(world_plan, plan_jobs(world_plan))
    # Two clips are the job's; the second has no artefact here, so half the time and space fall to each.
    assert costs == {("evaluate", job.variant): Cost(2.5, 300.0, 0, 0.5)}


def test_records_of_a_cpu_say_nothing_about_a_gpu(image_config):
    plan = resolve({**image_config, "device": "auto"}, "c")
    job = next(job for job in plan_jobs(plan) if job.stage.name == "generate")
    folder = plan.paths.generated("plain")
    folder.mkdir(parents=True)
    made = {"seconds": 9, "device": "cpu", "peak_memory_mb": {"host": 900.0}}
    (folder / "record.json").write_text(json.dumps({"files": {}, "made": made}))
    write_json(job.marker, {"fingerprint": job.fingerprint, "artifacts": {"generated/plain": {}}})
    assert measured_costs(plan, plan_jobs(plan)) == {}
