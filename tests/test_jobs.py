from stereozero.jobs import plan_jobs, readers
from stereozero.plan import resolve


def fingerprints(config) -> dict[str, str]:
    return {job.name: job.fingerprint for job in plan_jobs(resolve(config, "config.yaml"))}


def changed(before: dict, after: dict) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def test_a_job_stands_behind_those_it_needs_and_reads_their_markers(world_plan):
    jobs = plan_jobs(world_plan)
    known = set()
    for job in jobs:
        assert set(job.needs) <= known, job.name
        known.add(job.marker)
    needs = {job.name: {path.parent.name for path in job.needs} for job in jobs}
    assert needs["depth_world_1of1"] == {"world"}
    assert needs["baseline_warp-fill_1of1"] == {"world"}  # the depth variant and the source, both called world
    assert len(next(job for job in jobs if job.name == "baseline_warp-fill_1of1").needs) == 2


def test_editing_one_method_changes_that_method_alone(world_config):
    before = fingerprints(world_config)
    world_config["methods"]["warp-fill"]["fill"] = "telea"
    assert changed(before, fingerprints(world_config)) == {"baseline_warp-fill_1of1"}


def test_another_strength_of_one_method_renders_its_truth_and_scores_it_anew(world_config):
    before = fingerprints(world_config)
    world_config["methods"]["warp-fill"]["strength"] = 8
    assert changed(before, fingerprints(world_config)) == {
        "truth_8_1of1",
        "baseline_warp-fill_1of1",
        "evaluate_warp-fill_1of1",
        "deliver_warp-fill_1of1",
    } - {"deliver_warp-fill_1of1"}


def test_the_convergence_changes_delivery_and_the_window_score_only(world_config):
    before = fingerprints(world_config)
    world_config["delivery"] = {"behind_screen": 0.5}
    assert {name.split("_")[0] for name in changed(before, fingerprints(world_config))} == {"deliver", "evaluate"}


def test_the_order_of_keys_and_the_writing_of_numbers_change_nothing(world_config):
    before = fingerprints(world_config)
    world_config["methods"] = dict(reversed(world_config["methods"].items()))
    world_config["strength"] = 4
    assert changed(before, fingerprints(world_config)) == set()


def test_editing_the_generator_changes_generation_alone_and_memory_settings_nothing(image_config):
    before = fingerprints(image_config)
    assert "generate_1of1" in before
    image_config["generator"]["offload"] = True
    assert changed(before, fingerprints(image_config)) == set()
    image_config["generator"]["steps"] = 2
    assert changed(before, fingerprints(image_config)) == {"generate_1of1"}


def test_generation_waits_for_its_images_and_everything_else_for_generation(image_config):
    jobs = {job.name: job for job in plan_jobs(resolve(image_config, "config.yaml"))}
    needs = {name: {path.parent.name for path in job.needs} for name, job in jobs.items()}
    assert "inputs" in needs["generate_1of1"]
    assert needs["baseline_mono-copy_1of1"] == {"generate"}


def test_a_marker_knows_its_readers(world_plan):
    jobs = {job.name: job for job in plan_jobs(world_plan)}
    found = readers(list(jobs.values()))
    assert found[jobs["depth_world_1of1"].marker] == [jobs["baseline_warp-fill_1of1"].marker]
    assert jobs["deliver_warp-fill_1of1"].marker not in found


def test_many_clips_become_larger_batches_not_more(world_config, write_manifest):
    rows = [{"clip_id": f"c{number}", "scene": "simple", "world_seed": str(number)} for number in range(300)]
    write_manifest(*rows)
    batches = {job.batch for job in plan_jobs(resolve({**world_config, "batch_size": 1}, "config.yaml"))}
    assert {name.partition("of")[2] for name in batches} == {"64"}
    jobs = [job for job in plan_jobs(resolve(world_config, "config.yaml")) if job.rule == "world_batch"]
    assert len(jobs) == 32
    assert sorted(clip_id for job in jobs for clip_id in job.clip_ids) == sorted(row["clip_id"] for row in rows)
