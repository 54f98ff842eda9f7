import json
import shutil
from dataclasses import replace

import pytest

from stereozero.config import parse_config
from stereozero.config.generator import DynamiCrafterGenerator, VideoFormat
from stereozero.errors import InputError
from stereozero.generator import held_timestep, kept_frames, misfits, sampling_settings, variant_of
from stereozero.manifest import Clip
from stereozero.plan import describe_plan, resolve


def official(**settings) -> DynamiCrafterGenerator:
    return DynamiCrafterGenerator(kind="dynamicrafter", **{"variant": "1024", **settings})


def test_fixed_frames_are_not_shown():
    assert list(kept_frames("plain", 4)) == [0, 1, 2, 3]
    assert list(kept_frames("interpolation", 4)) == [1, 2]
    assert list(kept_frames("loop", 4)) == [1, 2, 3]


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ("1024", {"guidance_rescale": 0.7, "dynamic_rescale": 0.3, "spacing": "trailing", "frame_stride": 10}),
        ("512", {"guidance_rescale": 0.7, "dynamic_rescale": 0.7, "spacing": "trailing", "frame_stride": 24}),
        ("512-interp", {"guidance_rescale": 0.7, "dynamic_rescale": 0.7, "spacing": "trailing", "frame_stride": 5}),
        ("256", {"guidance_rescale": 0.0, "dynamic_rescale": None, "spacing": "uniform", "frame_stride": 3}),
    ],
)
def test_presets_are_the_models_and_can_be_overridden(variant, expected):
    clip = Clip(clip_id="a", prompt="p", image="a.png")
    preset = official(variant=variant)
    settings = sampling_settings(preset, variant_of(preset), clip, 5)
    assert settings.items() >= {**expected, "steps": 50, "eta": 1, "guidance": 7.5, "seed": 5, "prompt": "p"}.items()
    own = {"guidance_rescale": 0.1, "dynamic_rescale": 0.5, "spacing": "uniform", "frame_stride": 7, "steps": 9}
    assert sampling_settings(official(variant=variant, **own), variant_of(preset), clip, 5).items() >= own.items()
    assert "image_guidance" not in settings  # artefacts that were made before there was this key stay current
    assert sampling_settings(official(image_guidance=3), variant_of(preset), clip, 5)["image_guidance"] == 3
    row = clip.model_copy(update={"frame_stride": 30})
    assert sampling_settings(official(**own), variant_of(preset), row, 5)["frame_stride"] == 30


def test_the_model_says_below_which_timestep_steps_are_held_and_a_run_may_say_otherwise():
    variant = variant_of(official())
    assert held_timestep(official(), variant) == {}  # artefacts that were made before there was this key stay current
    assert held_timestep(official(hold_below=300), variant) == {"hold_below": 300}
    embedded = replace(variant, hold_below=650)
    assert held_timestep(official(), embedded) == {"hold_below": 650}
    assert held_timestep(official(hold_below=0), embedded) == {}
    clip = Clip(clip_id="a", prompt="p", image="a.png")
    assert "hold_below" not in sampling_settings(official(hold_below=300), variant, clip, 5)


@pytest.mark.parametrize(
    ("video", "reason"),
    [
        ({"height": 570, "width": 1024}, "height 570 and width 1024 must be multiples of 64"),
        ({"height": 320, "width": 512}, "1024 was trained for height 576 and width 1024, not 320 and 512"),
        (
            {"height": 576, "width": 1024, "frames": 8},
            "frames: 8, but the generator 1024 makes clips of 16 frames",
        ),
    ],
)
def test_a_video_format_that_does_not_fit_is_refused_with_what_would_be_right(video, reason):
    (problem,) = misfits(official(), VideoFormat(**video))
    assert reason in problem
    assert problem.endswith("set video: {height: 576, width: 1024, frames: 16}")


def test_the_right_format_is_accepted():
    assert list(misfits(official(), VideoFormat(height=576, width=1024))) == []


def test_a_saved_models_own_format_counts(image_config):
    image_config["video"] = {"height": 36, "width": 48, "frames": 16}
    with pytest.raises(InputError) as caught:
        resolve(image_config, "config.yaml")
    assert "height 36 and width 48 must be multiples of 8" in str(caught.value)
    assert "makes clips of 4 frames" in str(caught.value)
    assert "set video: {height: 32, width: 48, frames: 4}" in str(caught.value)


def test_a_broken_model_folder_is_named(image_config, tiny_model, tmp_path):
    shutil.copytree(tiny_model, tmp_path / "model")
    image_config["generator"]["folder"] = str(tmp_path / "model")
    for content, reason in [("{", "can't be read as JSON"), (json.dumps({"fs_range": [1, 2]}), "does not describe")]:
        (tmp_path / "model" / "variant.json").write_text(content)
        with pytest.raises(InputError, match=reason):
            resolve(image_config, "config.yaml")


def refused(generator: dict) -> str:
    with pytest.raises(InputError) as caught:
        parse_config({"run": "demo", "manifest": "clips.csv", "generator": generator}, "config.yaml")
    return str(caught.value)


def test_unknown_backbones_resolutions_and_keys_are_refused():
    assert "generator.kind: input should be 'dynamicrafter', found 'sora'" in refused({"kind": "sora", "variant": 512})
    message = refused({"kind": "dynamicrafter", "variant": 768})
    assert "generator.variant: input should be '1024', '512', '512-interp' or '256', found '768'" in message
    message = refused({"kind": "dynamicrafter", "variant": 512, "stpes": 3})
    assert "generator.stpes: unknown key; did you mean 'steps'?" in message
    assert "generator.steps: " in refused({"kind": "dynamicrafter", "variant": 512, "steps": 0})


def test_exactly_one_model_must_be_named():
    assert "needs either 'variant' (1024, 512, 512-interp, 256) or 'folder', found neither" in refused(
        {"kind": "dynamicrafter"}
    )
    assert "found both" in refused({"kind": "dynamicrafter", "variant": 512, "folder": "models/generator"})
    assert "'checkpoint' needs 'variant'" in refused({"kind": "dynamicrafter", "folder": "f", "checkpoint": "c"})


def test_numbers_in_yaml_are_resolutions():
    assert official(variant=512).variant == "512"


def test_what_a_model_was_not_trained_for_is_said(image_config, image_rows, write_manifest):
    image_rows[0]["frame_stride"] = "40"
    write_manifest(*image_rows)
    image_config |= {
        "video": {"height": 320, "width": 512, "frames": 16},
        "generator": {"kind": "dynamicrafter", "variant": 512},
    }
    lines = "\n".join(describe_plan(resolve(image_config, "config.yaml")))
    assert "3 clips are generated from images" in lines
    assert "2 clips interpolate or loop (between, round, ...)" in lines
    assert "frame_stride of plain: the model 512 is recommended 15 to 30" in lines
    image_config["generator"]["variant"] = "512-interp"
    assert "interpolate or loop" not in "\n".join(describe_plan(resolve(image_config, "config.yaml")))
