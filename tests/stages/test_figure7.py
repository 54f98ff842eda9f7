"""Which views stand side by side, and the pictures of them."""

import numpy as np
import pytest
from PIL import Image
from stage_runs import run_stages

from stereozero.cli import main
from stereozero.errors import InputError
from stereozero.plan import resolve, write_plan
from stereozero.preview import GAP, HEADER_HEIGHT, LABEL_WIDTH
from stereozero.stages.figure7 import draw_figure7
from stereozero.stages.views import view_files

CELL_WIDTH, CELL_HEIGHT = 256, round(256 * 64 / 96)


def test_views_are_the_source_the_targets_and_the_truth(world_plan):
    clip = world_plan.clips[0]
    files = view_files(world_plan, ["warp-fill", "mono-copy"], clip)
    assert list(files) == ["source", "warp-fill", "mono-copy", "truth"]
    assert files["warp-fill"] == world_plan.paths.target_video("warp-fill", "w1")
    assert files["truth"] == world_plan.paths.truth_video(clip, 4)


def test_each_strength_has_its_truth(world_config):
    world_config["methods"]["weak"] = {"kind": "warp-fill", "depth": "world", "strength": 2.5}
    plan = resolve(world_config, "config.yaml")
    files = view_files(plan, ["weak", "warp-fill"], plan.clips[0])
    assert list(files) == ["source", "weak", "warp-fill", "truth, 2.5 %", "truth, 4 %"]


def test_what_is_not_known_is_left_out(image_config):
    plan = resolve(image_config, "config.yaml")
    assert list(view_files(plan, ["mono-copy"], plan.clip("plain"))) == ["source", "mono-copy"]


def test_every_clip_has_a_picture_of_all_views(world_plan):
    run_stages(world_plan, "deliver", "evaluate")
    draw_figure7(world_plan)
    for clip in world_plan.clips:
        picture = np.asarray(Image.open(world_plan.paths.figure7(clip.clip_id)))
        assert picture.shape == (HEADER_HEIGHT + 5 * (CELL_HEIGHT + GAP), LABEL_WIDTH + 4 * (CELL_WIDTH + GAP), 3)
        rows = [picture[HEADER_HEIGHT + row * (CELL_HEIGHT + GAP) :][:CELL_HEIGHT, LABEL_WIDTH:] for row in range(5)]
        assert np.array_equal(rows[1], rows[4])  # the method ground-truth, and the truth
        assert not np.array_equal(rows[0], rows[4])


def test_clips_and_methods_can_be_chosen_and_what_was_not_run_is_named(world_config, tmp_path, caplog):
    world_config["methods"]["theirs"] = {"kind": "external", "name": "propainter", "depth": "world"}
    plan = resolve(world_config, "config.yaml")
    run_stages(plan, "deliver", "evaluate")
    write_plan(plan, tmp_path / "plan.json")
    chosen = ["--clips", "w2", "--methods", "theirs", "mono-copy"]
    assert main(["figure7", "--plan", str(tmp_path / "plan.json"), *chosen]) == 0
    assert "there is no row 'theirs', it was not run: propainter: its code is not on this machine" in caplog.text
    assert not plan.paths.figure7("w1").exists()
    picture = np.asarray(Image.open(plan.paths.figure7("w2")))
    assert len(picture) == HEADER_HEIGHT + 3 * (CELL_HEIGHT + GAP)  # source, mono-copy, truth
    with pytest.raises(InputError, match="method 'ours' is not in the config"):
        draw_figure7(plan, methods=["ours"])
