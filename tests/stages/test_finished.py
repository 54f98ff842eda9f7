"""Finished results of outside methods, from a manifest's pairs or a folder, to rows of Table 1."""

import json

import numpy as np
import pandas as pd
import pytest
from stage_runs import run_stages

from stereozero.errors import InputError, StageError
from stereozero.jobs import STAGES
from stereozero.plan import Plan, resolve
from stereozero.stages.tabulate import tabulate
from stereozero.video import read_video, write_lossless, write_mp4

METRICS = ["disparity", "achieved", "fidelity"]


def scored_plan(config: dict, *left_out: str) -> Plan:
    plan = resolve({**config, "metrics": METRICS}, "config.yaml")
    return run_stages(plan, "deliver", "depth-pictures", *left_out)


@pytest.fixture
def truths(world_config, tmp_path):
    """Return clip id -> (source, true target) of the world clips, as another method's program would get them."""
    plan = scored_plan({**world_config, "results": str(tmp_path / "elsewhere")}, "baseline", "evaluate")
    return {
        clip.clip_id: (
            read_video(plan.paths.source_video(clip)).frames,
            read_video(plan.paths.truth_video(clip, 4.0)).frames,
        )
        for clip in plan.clips
    }


@pytest.fixture
def with_folder(world_config, tmp_path):
    """Return a function that makes the configuration of a run with the results in a folder."""

    def configure(**settings) -> dict:
        (tmp_path / "theirs").mkdir(exist_ok=True)
        theirs = {"kind": "finished", "folder": str(tmp_path / "theirs"), **settings}
        return {**world_config, "methods": {"warp-fill": world_config["methods"]["warp-fill"], "theirs": theirs}}

    return configure


def target_of(plan: Plan, clip: str = "w1") -> np.ndarray:
    return read_video(plan.paths.target_video("theirs", clip)).frames


def test_a_folder_of_target_views_is_a_row_of_table_1_on_the_same_clips(with_folder, truths, tmp_path):
    config = with_folder()
    for name, (_, truth) in truths.items():
        write_lossless(tmp_path / "theirs" / f"{name}.mkv", truth, 8)
    plan = scored_plan(config)
    np.testing.assert_array_equal(target_of(plan), truths["w1"][1])
    tabulate(plan)
    table = pd.read_csv(plan.paths.tables / "table1.csv").set_index("method")
    assert (table.loc["theirs", "clips"], table.loc["theirs", "psnr"]) == (2, 100)
    assert table.loc["theirs", "disparity_kept"] > 80
    differences = pd.read_csv(plan.paths.tables / "paired.csv").set_index("method")
    assert differences.loc["theirs", "psnr_clips"] == 2  # compared clip by clip with warp-fill


@pytest.mark.parametrize(
    ("layout", "axis", "swap", "order"),
    [("full-sbs", 2, False, (0, 1)), ("full-sbs", 2, True, (1, 0)), ("full-tb", 1, False, (0, 1))],
)
def test_of_pictures_with_both_views_the_target_is_taken(with_folder, truths, tmp_path, layout, axis, swap, order):
    config = with_folder(layout=layout, swap_eyes=swap)
    views = [truths["w1"][place] for place in order]
    write_lossless(tmp_path / "theirs" / "w1.mkv", np.concatenate(views, axis=axis), 8)
    plan = scored_plan(config, "evaluate")
    np.testing.assert_array_equal(target_of(plan), truths["w1"][1])
    assert [clip.clip_id for clip in plan.method_clips("theirs")] == ["w1"]


def test_a_video_of_another_clip_is_doubted_in_the_log_and_under_table_1(with_folder, truths, tmp_path, caplog):
    config = with_folder()
    del config["methods"]["warp-fill"]
    write_lossless(tmp_path / "theirs" / "w1.mkv", truths["w2"][1], 8)
    plan = scored_plan(config)
    doubt = "source and target do not look like two views of one scene"
    assert doubt in caplog.text
    tabulate(plan)
    assert f"- `w1`: {doubt}" in (plan.paths.tables / "table1.md").read_text()


def test_a_video_of_another_length_or_size_is_refused(with_folder, truths, tmp_path):
    config = with_folder()
    write_lossless(tmp_path / "theirs" / "w1.mkv", truths["w1"][1][:3], 8)
    with pytest.raises(StageError, match=r"w1.mkv: has 3 frames of 96x64, but .* has 4 frames of 96x64; the videos of"):
        scored_plan(config, "evaluate")


def test_a_folder_without_any_clip_of_the_manifest_is_refused_before_anything_starts(with_folder):
    with pytest.raises(InputError) as error:
        resolve(with_folder(), "config.yaml")
    assert "methods.theirs: no clip has what this method needs" in str(error.value)
    assert "theirs has no video named after a clip of the manifest" in str(error.value)


def test_a_manifest_of_side_by_side_videos_is_scored(world_config, write_manifest, truths, tmp_path):
    for name, views in truths.items():
        write_mp4(tmp_path / f"{name}.mp4", np.concatenate(views, axis=2), 8, crf=1)
    rows = [{"clip_id": name, "stereo_video": f"{name}.mp4", "layout": "full-sbs"} for name in truths]
    methods = {"mono-copy": {"kind": "mono-copy"}, "theirs": {"kind": "finished"}}
    config = {**world_config, "manifest": str(write_manifest(*rows)), "depths": {}, "methods": methods}
    plan = scored_plan(config)
    tabulate(plan)
    table = pd.read_csv(plan.paths.tables / "table1.csv").set_index("method")
    assert table.loc["theirs", "disparity_kept"] > 80
    assert table.loc["mono-copy", "disparity_kept"] < 5
    assert set(pd.read_csv(plan.paths.tables / "paired.csv")["minus"]) == {"theirs"}


def test_one_frame_is_scored_and_what_needs_two_says_so(world_config, write_manifest, truths, tmp_path):
    source, truth = (view[:1] for view in truths["w1"])
    write_lossless(tmp_path / "one.mkv", np.concatenate([source, truth], axis=2), 8)
    manifest = write_manifest({"clip_id": "one", "stereo_video": "one.mkv", "layout": "full-sbs"})
    config = {**world_config, "manifest": str(manifest), "depths": {}, "methods": {"theirs": {"kind": "finished"}}}
    metrics = ["disparity", "achieved", "colour", "flicker", "window"]
    plan = resolve({**config, "metrics": metrics}, "config.yaml")
    for stage in STAGES:
        for variant in stage.variants(plan):
            if stage.name in ("inputs", "baseline", "evaluate"):
                stage.run(plan, variant, stage.clips(plan, variant))
    flicker = json.loads(plan.paths.scores("theirs", "flicker", "one").read_text())
    assert flicker["clip"]["flicker_excess"] is None
    assert any("frame" in remark for remark in flicker["notes"])
    kept = json.loads(plan.paths.scores("theirs", "achieved", "one").read_text())
    assert kept["clip"]["disparity_kept"] > 50
