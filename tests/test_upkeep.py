import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from stereozero import upkeep
from stereozero.artifacts import Artifact, read_record
from stereozero.cli import main
from stereozero.errors import InputError, StageError
from stereozero.jobs import plan_jobs, write_marker
from stereozero.plan import resolve
from stereozero.stages.stage import Stage
from stereozero.upkeep import (
    bring_to_present,
    damaged_artifacts,
    damaged_downloads,
    discard,
    remove_void_markers,
    restorer,
    runs_in,
)


def _parts(plan, variant, clip) -> list[Artifact]:
    folder = plan.paths.root / "first" / clip.clip_id
    return [Artifact(clip.clip_id, folder, ("kept.txt", "latents.bin"), {"id": clip.clip_id}, {})]


def _make_parts(plan, variant, clip, artifact, folder) -> None:
    (folder / "kept.txt").write_text(clip.clip_id)
    (folder / "latents.bin").write_bytes(bytes(1000))


def _sizes(plan, variant, clip) -> list[Artifact]:
    inputs = {"latents": plan.paths.root / "first" / clip.clip_id / "latents.bin"}
    folder = plan.paths.root / "second" / variant / clip.clip_id
    return [Artifact(clip.clip_id, folder, ("size.txt",), {"variant": variant}, inputs)]


def _make_size(plan, variant, clip, artifact, folder) -> None:
    (folder / "size.txt").write_text(str(len(artifact.inputs["latents"].read_bytes())))


FIRST = Stage("first", 1, "", lambda plan: ("",), _parts, _make_parts, discardable=("latents.bin",))
SECOND = Stage("second", 1, "", lambda plan: ("a", "b"), _sizes, _make_size)


@pytest.fixture
def stages(monkeypatch) -> None:
    """Let a run have two stages: one makes latents, the other reads them."""
    monkeypatch.setattr(upkeep, "STAGES", (FIRST, SECOND))


def run(plan, stage: Stage, variant: str) -> None:
    stage.run(plan, variant, plan.clips, restorer(plan, stage))


def stamp(folder: Path) -> int:
    return (folder / "record.json").stat().st_mtime_ns


def test_what_is_discarded_stays_current_and_so_does_what_was_made_from_it(world_plan, stages):
    root = world_plan.paths.root
    run(world_plan, FIRST, "")
    run(world_plan, SECOND, "a")
    discard(world_plan, FIRST, "", world_plan.clips)
    assert not (root / "first" / "w1" / "latents.bin").exists()
    assert (root / "first" / "w1" / "kept.txt").read_text() == "w1"
    before = [stamp(root / "first" / "w1"), stamp(root / "second" / "a" / "w1")]
    run(world_plan, FIRST, "")
    run(world_plan, SECOND, "a")
    assert [stamp(root / "first" / "w1"), stamp(root / "second" / "a" / "w1")] == before
    assert not (root / "first" / "w1" / "latents.bin").exists()
    assert damaged_artifacts(root) == {None: {}}


def test_a_new_reader_makes_discarded_files_again_and_they_can_be_discarded_again(world_plan, stages, caplog):
    root = world_plan.paths.root
    run(world_plan, FIRST, "")
    discard(world_plan, FIRST, "", world_plan.clips)
    run(world_plan, SECOND, "b")
    assert (root / "second" / "b" / "w2" / "size.txt").read_text() == "1000"
    assert "latents.bin was deleted after its last use; making it again" in caplog.text
    assert "discarded" not in read_record(root / "first" / "w2")
    discard(world_plan, FIRST, "", world_plan.clips)
    assert not (root / "first" / "w2" / "latents.bin").exists()


@pytest.mark.parametrize("harm", [lambda path: path.write_bytes(b"x"), lambda path: path.unlink()])
def test_a_damaged_input_is_made_again_by_its_reader(world_plan, stages, caplog, harm):
    run(world_plan, FIRST, "")
    harm(world_plan.paths.root / "first" / "w1" / "latents.bin")
    run(world_plan, SECOND, "a")
    assert (world_plan.paths.root / "second" / "a" / "w1" / "size.txt").read_text() == "1000"
    assert "making it again" in caplog.text


def test_a_job_without_accelerator_does_not_do_the_work_of_one_with(world_plan, monkeypatch):
    heavy = replace(FIRST, needs_gpu=True)
    monkeypatch.setattr(upkeep, "STAGES", (heavy, SECOND))
    run(world_plan, heavy, "")
    discard(world_plan, heavy, "", world_plan.clips)
    with pytest.raises(
        StageError, match=r"latents\.bin was deleted after its last use; run 'stereozero verify --repair'"
    ):
        run(world_plan, SECOND, "a")


def test_a_file_that_no_stage_makes_is_only_reported(world_plan, stages):
    with pytest.raises(StageError, match=r"mine\.mkv is missing; run 'stereozero verify --repair'"):
        restorer(world_plan, SECOND)(Path("clips/w1/mine.mkv"), "is missing")


def test_damage_is_found_with_and_without_a_marker(world_plan, stages):
    root = world_plan.paths.root
    run(world_plan, FIRST, "")
    marker = root / "jobs" / "first" / "1of1.json"
    marker.parent.mkdir(parents=True)
    marker.write_text(json.dumps({"fingerprint": "", "artifacts": {"first/w1": {}, "first/gone": {}}}))
    (root / "jobs" / "inputs-checked.json").touch()  # as Snakemake's touch() leaves it
    for clip_id in ("w1", "w2"):
        (root / "first" / clip_id / "kept.txt").write_text("?!")
    changed = "kept.txt is not what its record says (truncated or edited)"
    assert damaged_artifacts(root) == {
        marker: {"first/w1": changed, "first/gone": "it has no readable record"},
        None: {"first/w2": changed},
    }


def test_all_runs_of_a_results_folder_are_verified(tmp_path, caplog):
    for name in ("one", "two"):
        (tmp_path / name / "jobs" / "world").mkdir(parents=True)
    assert runs_in(tmp_path) == [tmp_path / "one", tmp_path / "two"]
    assert main(["verify", str(tmp_path)]) == 0
    (tmp_path / "two" / "jobs" / "world" / "1of1.json").write_text(json.dumps({"artifacts": {"world/c": {}}}))
    assert main(["verify", str(tmp_path)]) == 1
    assert "two/world/c: it has no readable record" in caplog.text
    assert main(["verify", str(tmp_path), "--repair"]) == 0
    assert not (tmp_path / "two" / "jobs" / "world" / "1of1.json").exists()
    with pytest.raises(InputError, match="is not the folder of a run"):
        runs_in(tmp_path / "one" / "jobs" / "world")


def test_downloads_are_verified_by_their_names(tmp_path):
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    (tmp_path / f"{empty}.mp4").write_bytes(b"")
    changed = tmp_path / f"{empty}.png"
    changed.write_bytes(b"x")
    assert damaged_downloads(tmp_path) == [changed]
    assert damaged_downloads(tmp_path / "nowhere") == []


def test_markers_from_the_future_are_brought_to_the_present(world_plan):
    old, new = (world_plan.paths.marker("world", "", batch) for batch in ("1of2", "2of2"))
    old.parent.mkdir(parents=True)
    for marker, moment in ((old, 1e9), (new, time.time() + 1e8)):
        marker.touch()
        os.utime(marker, (moment, moment))
    bring_to_present(world_plan)
    assert old.stat().st_mtime == 1e9
    assert new.stat().st_mtime <= time.time()


def test_in_a_results_folder_that_is_new_to_snakemake_markers_of_other_settings_are_void(world_config, tmp_path):
    before = resolve(world_config, "config.yaml")
    for job in plan_jobs(before):
        write_marker(job.marker, before, job.stage, job.variant, before.clips)
    world_config["methods"]["warp-fill"]["fill"] = "telea"
    plan = resolve(world_config, "config.yaml")
    remove_void_markers(plan, plan_jobs(plan), tmp_path / ".snakemake")
    assert [job.name for job in plan_jobs(plan) if not job.marker.is_file()] == ["baseline_warp-fill_1of1"]
    world_config["methods"]["warp-fill"]["fill"] = "mirror"
    known = resolve(world_config, "config.yaml")
    remove_void_markers(known, plan_jobs(known), tmp_path / ".snakemake")
    (tmp_path / "other" / "locks").mkdir(parents=True)
    (tmp_path / "other" / "locks" / "0.input.lock").touch()  # another run is going on
    world_config["video"]["frames"] = 6
    other = resolve(world_config, "config.yaml")
    remove_void_markers(other, plan_jobs(other), tmp_path / "other")
    assert len([job for job in plan_jobs(plan) if not job.marker.is_file()]) == 1
