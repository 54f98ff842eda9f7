import dataclasses

import pytest

from stereozero.errors import InputError
from stereozero.plan import check_writable, describe_plan, prepare, read_plan, read_started_plan, resolve, write_plan


def test_problems_of_config_and_manifest_are_reported_together(world_config, write_manifest):
    write_manifest({"clip_id": "a b", "scene": "simple", "world_seed": "1"})
    with pytest.raises(InputError) as caught:
        resolve({**world_config, "strenght": 3}, "config.yaml")
    assert "strenght: unknown key" in str(caught.value)
    assert "'a b' can't be a folder name" in str(caught.value)


def test_a_method_that_no_clip_can_feed_is_refused(world_config):
    world_config["methods"]["theirs"] = {"kind": "finished"}
    with pytest.raises(InputError, match=r"methods\.theirs: no clip has what this method needs"):
        resolve(world_config, "config.yaml")


def test_the_papers_tables_must_be_there(world_config, tmp_path):
    with pytest.raises(InputError, match=r"published: there is no .*table1\.csv; name the"):
        resolve({**world_config, "published": str(tmp_path)}, "config.yaml")


def test_a_video_without_any_disparity_is_refused(world_config, write_manifest, world_rows, tmp_path):
    (tmp_path / "v.mp4").touch()
    write_manifest(*world_rows, {"clip_id": "v", "source_video": "v.mp4"})
    with pytest.raises(
        InputError, match=r"clip 'v': none of the depth variants in use \(world\) can give its disparity"
    ):
        resolve(world_config, "config.yaml")


def test_an_estimated_depth_serves_every_clip_with_a_video(world_config, write_manifest, world_rows, tmp_path):
    (tmp_path / "v.mp4").touch()
    (tmp_path / "a.png").touch()
    rows = [{"clip_id": "v", "source_video": "v.mp4"}, {"clip_id": "i", "prompt": "a cat", "image": "a.png"}]
    write_manifest(*world_rows, *rows)
    world_config["depths"] |= {
        "pro": {"estimator": "depth-pro"},
        "half": {"estimator": "derived", "depth": "pro", "downsample": 2},
        "half-world": {"estimator": "derived", "depth": "world", "downsample": 2},
    }
    world_config["methods"]["warp-fill"]["depth"] = "half"
    plan = resolve(world_config, "config.yaml")
    assert [clip.clip_id for clip in plan.method_clips("warp-fill")] == ["w1", "w2", "v"]
    assert not plan.supplies("half-world", plan.clip("v"))
    assert not plan.supplies("pro", plan.clip("i"))  # no generator, so no video


def test_an_estimated_depth_may_leave_out_rendered_clips(world_config, write_manifest, world_rows, tmp_path):
    (tmp_path / "v.mp4").touch()
    write_manifest(*world_rows, {"clip_id": "v", "source_video": "v.mp4"})
    world_config["depths"]["pro"] = {"estimator": "depth-pro", "rendered": False}
    world_config["methods"] |= {"estimated": {"kind": "warp-fill", "depth": "pro"}}
    plan = resolve(world_config, "config.yaml")
    assert [clip.clip_id for clip in plan.method_clips("estimated")] == ["v"]


def test_missing_depth_networks_are_named_before_any_work(world_config):
    world_config["depths"]["crafter"] = {"estimator": "depthcrafter", "folder": "models/nothing"}
    with pytest.raises(InputError, match=r"depths\.crafter\.folder: there is no models/nothing"):
        resolve(world_config, "config.yaml")


def test_dissolve_steps_that_nothing_uses_are_reported(world_config, write_manifest, world_rows):
    write_manifest(world_rows[0] | {"dissolve_step": "30"})
    said = "dissolve_step of 1 clips is not used: no depth variant has the key 'dissolve'"
    assert said in describe_plan(resolve(world_config, "config.yaml"))
    world_config["depths"] |= {
        "crafter": {"estimator": "depthcrafter"},
        "soft": {"estimator": "derived", "depth": "crafter", "dissolve": "row"},
    }
    assert said not in describe_plan(resolve(world_config, "config.yaml"))


@pytest.mark.parametrize("step", ["0", "51", "-1", "2.5"])
def test_a_rows_dissolve_step_out_of_range_is_refused(world_config, write_manifest, world_rows, step):
    write_manifest(world_rows[0] | {"dissolve_step": step})
    with pytest.raises(InputError, match="dissolve_step: input should be"):
        resolve(world_config, "config.yaml")


def test_a_finished_pair_needs_a_method_that_scores_it(world_config, write_manifest, world_rows, tmp_path):
    (tmp_path / "v.mp4").touch()
    write_manifest(*world_rows, {"clip_id": "p", "source_video": "v.mp4", "target_video": "v.mp4"})
    with pytest.raises(InputError, match=r"clip 'p': is a finished pair; add a method of the kind 'finished'"):
        resolve(world_config, "config.yaml")


def test_the_strength_is_the_variants_else_the_rows_else_the_runs(world_config, write_manifest, world_rows):
    world_rows[0]["strength"] = "6"
    world_rows[1]["strength"] = ""
    write_manifest(*world_rows)
    world_config["methods"]["warp-fill"]["strength"] = 8
    plan = resolve(world_config, "config.yaml")
    assert [plan.strength(clip) for clip in plan.clips] == [6, 4]
    assert [plan.strength(clip, "mono-copy") for clip in plan.clips] == [6, 4]
    assert [plan.strength(clip, "warp-fill") for clip in plan.clips] == [8, 8]


def test_image_clips_go_as_far_as_the_inputs_and_it_is_said(world_config, write_manifest, world_rows, tmp_path):
    (tmp_path / "a.png").touch()
    write_manifest(*world_rows, {"clip_id": "i", "prompt": "a cat", "image": "a.png"})
    plan = resolve(world_config, "config.yaml")
    assert "1 clips start from an image" in "\n".join(describe_plan(plan))
    assert [clip.clip_id for clip in plan.method_clips("mono-copy")] == ["w1", "w2"]


def test_a_plan_survives_the_disk(world_plan):
    write_plan(world_plan, world_plan.paths.plan)
    again = read_plan(world_plan.paths.plan)
    assert (again.config, again.clips) == (world_plan.config, world_plan.clips)


def test_checking_an_edited_config_leaves_the_plan_of_started_jobs_alone(world_config):
    started = prepare(world_config, "config.yaml")
    with pytest.raises(InputError, match=r"plan\.json: can't be read .*Snakemake writes it when it starts jobs"):
        read_started_plan(world_config)
    write_plan(started, started.paths.plan)
    world_config["methods"]["warp-fill"]["fill"] = "telea"
    assert prepare(world_config, "config.yaml").config != started.config
    assert read_started_plan(world_config).config == started.config


def test_a_broken_plan_is_refused(tmp_path):
    (tmp_path / "plan.json").write_text("{}")
    with pytest.raises(InputError, match="is not a plan of this version"):
        read_plan(tmp_path / "plan.json")


def test_results_that_can_not_be_written_are_refused_at_once(world_config, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"results folder .*: can't write there"):
        prepare({**world_config, "results": str(tmp_path / "file")}, "config.yaml")
    check_writable(tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []


def test_batches_hold_every_clip_once_and_barely_move_when_one_is_added(world_config, world_rows, write_manifest):
    def batches(count):
        write_manifest(*[{"clip_id": f"c{n}", "scene": "simple", "world_seed": str(n)} for n in range(count)])
        plan = resolve({**world_config, "batch_size": 4}, "config.yaml")
        return plan.batches(plan.clips)

    before, after = batches(30), batches(31)
    assert sorted(clip.clip_id for clips in before.values() for clip in clips) == sorted(f"c{n}" for n in range(30))
    assert set(before) == set(after)
    changed = [name for name in before if before[name] != after[name]]
    assert len(changed) == 1
    assert all(name.endswith("of8") for name in before)


def test_the_tables_fingerprint_ignores_what_changes_no_result(world_plan):
    def other(**changes):
        return dataclasses.replace(world_plan, config=world_plan.config.model_copy(update=changes)).fingerprint

    assert other(batch_size=1) == world_plan.fingerprint
    assert other(seed=5) != world_plan.fingerprint
