"""The pipeline as a whole, run by Snakemake."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stereozero.video import write_lossless, write_mp4

from .running import checksums

pytestmark = pytest.mark.slow


@pytest.fixture
def small(world_config) -> dict:
    """Return a configuration whose run is short: few scores, one format."""
    return {**world_config, "metrics": ["fidelity", "disparity"], "delivery": {"formats": ["full-sbs"]}}


def test_the_whole_run_leaves_tables_videos_and_a_gallery_and_a_second_does_nothing(run, small, tmp_path):
    first = run(small)
    assert first.status == 0, first.text
    folder = tmp_path / "results" / "test"
    scores = pd.read_csv(folder / "tables" / "scores.csv")
    psnr = scores[scores["score"] == "psnr"].groupby("method")["value"].mean()
    assert psnr["ground-truth"] == 100
    assert psnr["mono-copy"] < psnr["warp-fill"] < 100
    table = pd.read_csv(folder / "tables" / "table1.csv")
    assert set(table["origin"]) == {"measured", "published"}
    assert (folder / "delivery" / "warp-fill" / "w1" / "w1_LRF_Full_SBS.mp4").is_file()
    assert "w2" in (folder / "gallery" / "index.html").read_text()
    assert "Nothing to be done" in run(small).text


def test_editing_one_variant_reruns_that_variant_alone(run, small):
    assert run(small).status == 0
    small["methods"]["warp-fill"]["fill"] = "telea"
    names = set(run(small, "-n").jobs)
    assert names == {
        "baseline_warp-fill",
        "deliver_warp-fill",
        "evaluate_warp-fill",
        "tabulate",
        "gallery",
        "all",
    }


def test_batches_change_no_result_and_an_added_clip_recomputes_no_other(
    run, small, write_manifest, world_rows, tmp_path
):
    assert run(small).status == 0
    folder = tmp_path / "results" / "test"
    records = {path: path.read_bytes() for path in folder.rglob("record.json")}
    before = checksums(folder)
    write_manifest(*world_rows, {"clip_id": "w3", "scene": "complex", "world_seed": "3"})
    assert run(small).status == 0
    assert {path: path.read_bytes() for path in records} == records

    shutil.rmtree(folder)
    assert run({**small, "batch_size": 1}).status == 0
    after = checksums(folder)
    clips = [name for name in before if "/w1" in name or "/w2" in name]
    assert len(clips) > 20
    assert {name: after[name] for name in clips} == {name: before[name] for name in clips}


def test_bad_input_stops_everything_before_any_job(run, small, write_manifest, world_rows, tmp_path):
    write_manifest(*world_rows, {"clip_id": "a b", "scene": "simple", "world_seed": "x"})
    outcome = run({**small, "strenght": 3})
    assert outcome.status == 1
    assert "Nothing was started." in outcome.text
    assert "strenght: unknown key; did you mean 'strength'?" in outcome.text
    assert "'a b' can't be a folder name" in outcome.text
    assert "world_seed: input should be a valid integer" in outcome.text
    assert "Traceback" not in outcome.text
    assert not (tmp_path / "results").exists()


def test_a_bad_video_is_refused_before_work_starts_and_named_with_its_log(
    run, small, write_manifest, world_rows, tmp_path
):
    (tmp_path / "v.mp4").write_text("this is no video")
    np.save(tmp_path / "d.npy", np.zeros((4, 64, 96), np.float32))
    write_manifest(*world_rows, {"clip_id": "v", "source_video": "v.mp4", "disparity": "d.npy"})
    small["depths"]["mine"] = {"estimator": "given"}
    small["methods"]["mine"] = {"kind": "warp-fill", "depth": "mine"}
    outcome = run(small)
    assert outcome.status == 1
    assert "clip 'v': " in outcome.text
    assert "v.mp4" in outcome.text
    assert "logs/inputs/1of1.log" in outcome.text
    assert not (tmp_path / "results" / "test" / "world").exists()


def test_finished_videos_with_given_disparity_and_an_outside_pair(run, small, write_manifest, moving_bars, tmp_path):
    write_lossless(tmp_path / "s.mkv", moving_bars, 8)
    write_mp4(tmp_path / "t.mp4", np.roll(moving_bars, -2, axis=2), 8)
    np.save(tmp_path / "d.npy", np.full((4, 64, 96), 0.5, np.float32))
    write_manifest(
        {"clip_id": "given", "source_video": "s.mkv", "disparity": "d.npy"},
        {"clip_id": "pair", "source_video": "s.mkv", "target_video": "t.mp4"},
    )
    small["depths"] = {"mine": {"estimator": "given"}}
    small["methods"] = {
        "mono-copy": {"kind": "mono-copy"},
        "warp-fill": {"kind": "warp-fill", "depth": "mine"},
        "theirs": {"kind": "finished"},
    }
    outcome = run(small)
    assert outcome.status == 0, outcome.text
    scores = pd.read_csv(tmp_path / "results" / "test" / "tables" / "scores.csv")
    achieved = scores[scores["score"] == "disparity_p50"].set_index(["method", "clip_id"])["value"]
    assert achieved["warp-fill", "given"] == pytest.approx(2.0, abs=0.15)  # percent of width: 0.5 x 4
    assert achieved["theirs", "pair"] == pytest.approx(100 * 2 / 96, abs=0.15)
    assert "Not every method ran on every clip" in (tmp_path / "results" / "test" / "tables" / "table1.md").read_text()


def test_one_clips_failure_keeps_the_others_of_its_batch(run, small, tmp_path):
    scores = tmp_path / "results" / "test" / "scores" / "warp-fill" / "disparity"
    scores.mkdir(parents=True)
    (scores / "w2").write_text("a file where the clip's folder should be")
    outcome = run(small, "--keep-going")
    assert outcome.status == 1
    assert "clip 'w2': the operating system said: File exists" in outcome.text
    kept = scores / "w1" / "scores.json"
    stamp = kept.stat().st_mtime_ns
    (scores / "w2").unlink()
    again = run(small)
    assert again.status == 0, again.text
    assert kept.stat().st_mtime_ns == stamp


def test_a_truncated_input_is_made_again_by_the_job_that_reads_it(run, small, tmp_path):
    assert run(small, "depth").status == 0
    folder = tmp_path / "results" / "test"
    source = folder / "world" / "w2" / "source.mkv"
    whole = source.read_bytes()
    source.write_bytes(whole[:100])
    outcome = run(small, "baselines")
    assert outcome.status == 0, outcome.text
    assert source.read_bytes() == whole
    logs = "".join(path.read_text() for path in folder.glob("logs/baseline/**/*.log"))
    assert "w2/source.mkv is not what its record says (truncated or edited); making it again" in logs


def test_damage_is_found_and_made_good(run, small, tmp_path):
    from stereozero.cli import main

    assert run(small).status == 0
    folder = tmp_path / "results" / "test"
    before = checksums(folder)
    (folder / "targets" / "warp-fill" / "w1" / "target.mkv").write_bytes(b"")
    shutil.rmtree(folder / "world" / "w2")
    assert main(["verify", str(folder)]) == 1
    assert main(["verify", "--repair", str(folder)]) == 0
    assert run(small).status == 0
    assert checksums(folder) == before
    assert main(["verify", str(folder)]) == 0


def test_prompts_are_never_run_by_a_shell(run, small, write_manifest, world_rows, tmp_path):
    evil = f"$(touch {tmp_path / 'owned'}) `touch {tmp_path / 'owned'}` \"; touch {tmp_path / 'owned'}; '\n<script>"
    world_rows[0]["prompt"] = evil + "{wildcards.batch} {params}"
    small["results"] = str(tmp_path / "results $(touch owned) '`touch owned`'")
    with write_manifest(*world_rows).open(newline="") as stream:
        assert next(csv.DictReader(stream))["prompt"] == world_rows[0]["prompt"]
    assert run(small).status == 0
    assert not list(tmp_path.rglob("owned"))
    assert "<script>" not in (Path(small["results"]) / "test" / "gallery" / "index.html").read_text()


def test_yaml_makes_no_objects(run, small, tmp_path):
    (tmp_path / "evil.yaml").write_text(f"run: !!python/object/apply:os.system ['touch {tmp_path / 'owned'}']\n")
    outcome = run(small, "-n", "--configfile", str(tmp_path / "evil.yaml"))
    assert outcome.status == 1
    assert "Config file is not valid JSON or YAML" in outcome.text
    assert not (tmp_path / "owned").exists()
