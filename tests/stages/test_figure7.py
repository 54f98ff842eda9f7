"""Which views stand side by side, and the pictures of them."""

import numpy as np
from PIL import Image

from stereozero.jobs import STAGES
from stereozero.plan import resolve
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
    for stage in STAGES:
        if stage.name not in ("deliver", "evaluate"):
            for variant in stage.variants(world_plan):
                stage.run(world_plan, variant, stage.clips(world_plan, variant))
    draw_figure7(world_plan)
    for clip in world_plan.clips:
        picture = np.asarray(Image.open(world_plan.paths.figure7(clip.clip_id)))
        assert picture.shape == (HEADER_HEIGHT + 5 * (CELL_HEIGHT + GAP), LABEL_WIDTH + 4 * (CELL_WIDTH + GAP), 3)
        rows = [picture[HEADER_HEIGHT + row * (CELL_HEIGHT + GAP) :][:CELL_HEIGHT, LABEL_WIDTH:] for row in range(5)]
        assert np.array_equal(rows[1], rows[4])  # the method ground-truth, and the truth
        assert not np.array_equal(rows[0], rows[4])
