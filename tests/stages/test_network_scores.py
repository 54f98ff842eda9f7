"""Metrics that run a network, from the configuration to scores.json."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from stereozero.artifacts import write_json
from stereozero.config import parse_config
from stereozero.errors import InputError
from stereozero.metrics.clip_encoder import ClipEncoder
from stereozero.metrics.met3r import hub
from stereozero.metrics.met3r.features import save_to_hub_folder
from stereozero.plan import resolve
from stereozero.stages.baseline import BASELINE
from stereozero.stages.evaluate import EVALUATE
from stereozero.stages.tabulate import tabulate
from stereozero.stages.world import WORLD
from stereozero.video import read_video
from stereozero.vision_transformer import VisionTransformer, VitConfig
from stereozero.weights import needed_models
from stereozero.world.training.clip import ClipSettings, build_conditioner

CLIP = ClipSettings(embed_dim=16, image_size=32, image_width=32, image_layers=1, text_width=16, text_layers=1)


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    """Return the folder of two untrained feature models."""
    folder = tmp_path_factory.mktemp("models")
    build_conditioner(CLIP).save_pretrained(folder / "clip")
    save_to_hub_folder(VisionTransformer(VitConfig(32, 8, 16, 1, 2)), folder / "dinov2")
    return folder


@pytest.fixture
def scored_config(world_config, models) -> dict:
    world_config["metrics"] = ["disparity", "clip_text", "clip_frame", "met3r"]
    world_config["methods"] = {"mono-copy": {"kind": "mono-copy"}}
    world_config["scoring"] = {
        "clip": {"folder": str(models / "clip")},
        "met3r": {"hub": str(models / "dinov2"), "entry": "dinov2"},
    }
    return world_config


def evaluate(config: dict):
    plan = resolve(config, "config.yaml")
    for stage, variant in ((WORLD, ""), (BASELINE, "mono-copy"), (EVALUATE, "mono-copy")):
        stage.run(plan, variant, plan.clips)
    return plan


def scores_of(plan, metric: str, clip: str = "w1") -> dict:
    return json.loads(plan.paths.scores("mono-copy", metric, clip).read_text())


def test_a_copy_is_scored_by_every_network(scored_config, monkeypatch):
    loaded = []
    original = ClipEncoder.saved.__func__
    monkeypatch.setattr(
        ClipEncoder, "saved", classmethod(lambda cls, *a, **k: loaded.append(a) or original(cls, *a, **k))
    )
    plan = evaluate(scored_config)
    assert len(loaded) == 1  # for two clips and two metrics
    assert scores_of(plan, "clip_frame")["clip"]["clip_frame"] == pytest.approx(100)
    assert scores_of(plan, "met3r")["clip"]["met3r"] == pytest.approx(0, abs=0.1)
    assert scores_of(plan, "met3r")["network"]["geometry"] == "stereo"
    text = scores_of(plan, "clip_text")
    assert text["clip"]["clip_text"] == text["clip"]["clip_text_source"]
    assert len(text["per_frame"]["clip_text"]) == 4


def test_each_clip_is_read_once_for_all_metrics(scored_config, monkeypatch):
    plan = resolve(scored_config, "config.yaml")
    WORLD.run(plan, "", plan.clips)
    BASELINE.run(plan, "mono-copy", plan.clips)
    read = []
    monkeypatch.setattr("stereozero.video.read_video", lambda path: read.append(path) or read_video(path))
    EVALUATE.run(plan, "mono-copy", plan.clips)
    views = [(plan.paths.source_video(clip), plan.paths.target_video("mono-copy", clip.clip_id)) for clip in plan.clips]
    assert sorted(read) == sorted(path for pair in views for path in pair)


def test_table_1_says_scale_direction_view_frames_and_crop_and_what_was_scored_with(scored_config):
    scored_config["metrics"] = ["disparity", "achieved", "clip_text", "clip_frame", "met3r"]
    plan = evaluate(scored_config)
    tabulate(plan)
    table = pd.read_csv(plan.paths.tables / "table1.csv").set_index("method").loc["mono-copy"]
    assert table["clip_frame_x100_all_frames_crop"] == pytest.approx(100)
    assert table["clip_text_x100_target_all_frames_crop"] == table["clip_text_x100_source_all_frames_crop"]
    assert table["met3r_x100_symmetric_all_frames"] == pytest.approx(0, abs=0.1)
    assert "met3r_x100_from_source_all_frames" in table.index
    assert table["met3r_stereo"] < 2
    assert "There is no other method to compare with." in (plan.paths.tables / "paired.md").read_text()
    text = (plan.paths.tables / "table1.md").read_text()
    assert f"- CLIP: the saved model `{scored_config['scoring']['clip']['folder']}`." in text
    assert f"- MEt3R: geometry stereo, features dinov2 of `{scored_config['scoring']['met3r']['hub']}`" in text


def test_scores_say_which_published_model_they_are_of(scored_config, models, tmp_path, monkeypatch):
    name, settings = "clip-openai-vit-b-32", []

    def load(given, device):
        settings.append(given)
        return ClipEncoder.saved(models / "clip", device=device)  # the published file is not in the repository

    monkeypatch.setattr("stereozero.metrics.networks.load_network", load)
    (tmp_path / "copy.safetensors").touch()
    scored_config["metrics"] = ["disparity", "clip_frame"]
    scored_config["scoring"] = {
        "clip": {"variant": "openai-vit-b-32", "checkpoint": str(tmp_path / "copy.safetensors")}
    }
    plan = resolve(scored_config, "config.yaml")
    write_json(plan.paths.weights(name), {"model": name, "bytes": 0, "sha256": "0" * 64})
    evaluate(scored_config)
    assert settings[0].checkpoint == str(tmp_path / "copy.safetensors")
    content = scores_of(plan, "clip_frame")
    assert content["network"] == {"variant": "openai-vit-b-32"}
    model = content["models"]["checkpoint"]
    assert (model["model"], model["sha256"], model["revision"]) == (name, "0" * 64, None)
    assert "huggingface.co/timm/vit_base_patch32_clip_224.openai" in model["origin"]
    assert content["inputs"].keys() == {"source", "target", "clip/checkpoint"}


def test_other_weights_and_another_prompt_are_scored_anew(scored_config, models, tmp_path):
    plan = evaluate(scored_config)
    before = {name: _key(plan, name) for name in ("clip_text", "clip_frame", "met3r")}
    shutil.copytree(models / "clip", tmp_path / "moved")
    scored_config["scoring"]["clip"]["folder"] = str(tmp_path / "moved")
    assert _key(evaluate(scored_config), "clip_text") == before["clip_text"]  # the same weights elsewhere
    build_conditioner(ClipSettings(**{**CLIP.__dict__, "text_width": 32})).save_pretrained(tmp_path / "moved")
    after = {name: _key(evaluate(scored_config), name) for name in before}
    assert after["clip_frame"] != before["clip_frame"]
    assert after["met3r"] == before["met3r"]


def _key(plan, metric: str) -> str:
    record = plan.paths.scores("mono-copy", metric, "w1").parent / "record.json"
    return json.loads(record.read_text())["key"]


@pytest.mark.parametrize(
    ("scoring", "metrics", "message"),
    [
        ({}, ["clip_text"], "metrics: 'clip_text' runs a network: name it in 'scoring.clip'"),
        ({"clip": {}}, [], "scoring.clip: needs either 'variant' (openai-vit-b-32) or 'folder', found neither"),
        ({"clip": {"folder": "x", "checkpoint": "y"}}, [], "'checkpoint' needs 'variant'"),
        ({"met3r": {"upsample": "featup"}}, [], "scoring.met3r.upsample: unknown key; did you mean 'upsampler'?"),
    ],
)
def test_scoring_that_can_not_work_is_refused(world_config, scoring, metrics, message):
    content = {**world_config, "scoring": scoring, "metrics": ["disparity", *metrics]}
    with pytest.raises(InputError) as error:
        parse_config(content, "config.yaml")
    assert message in str(error.value)


def test_files_that_are_not_there_are_named_before_anything_starts(world_config):
    world_config["scoring"] = {
        "clip": {"folder": "no/clip"},
        "met3r": {"hub": "no/dinov2", "geometry": "raft", "geometry_checkpoint": "no/raft.pth"},
    }
    with pytest.raises(InputError) as error:
        resolve(world_config, "config.yaml")
    assert "scoring.clip.folder: there is no no/clip" in str(error.value)
    assert "scoring.met3r.geometry_checkpoint: there is no no/raft.pth" in str(error.value)
    assert "scoring.met3r.hub: there is no no/dinov2; a repository on GitHub is named owner/name" in str(error.value)


def test_a_published_clip_is_fetched_only_if_a_metric_asks_for_it(world_config):
    world_config["scoring"] = {"clip": {"variant": "openai-vit-b-32"}}
    assert needed_models(parse_config(world_config, "c")) == {}
    world_config["metrics"] = ["disparity", "clip_frame"]
    assert needed_models(parse_config(world_config, "c")) == {"clip-openai-vit-b-32": None}
    plan = resolve(world_config, "c")
    artifact = next(a for a in EVALUATE.artifacts(plan, "mono-copy", plan.clips[0]) if "network" in a.parameters)
    assert artifact.inputs["clip/checkpoint"] == plan.paths.weights("clip-openai-vit-b-32")


def test_what_met3r_needs_is_fetched_but_for_local_copies(world_config):
    released = {"geometry": "mast3r", "features": "dino16", "upsampler": "featup"}
    world_config["scoring"] = {"met3r": released}
    assert needed_models(parse_config(world_config, "c")) == {}  # no metric asks for it
    world_config["metrics"] = ["disparity", "met3r"]
    names = ("mast3r", "dino16", "featup-dino16")
    assert needed_models(parse_config(world_config, "c")) == dict.fromkeys(names)
    plan = resolve(world_config, "c")
    artifact = next(a for a in EVALUATE.artifacts(plan, "mono-copy", plan.clips[0]) if "network" in a.parameters)
    keys = ("geometry_checkpoint", "feature_checkpoint", "featup_checkpoint")
    for key, name in zip(keys, names, strict=True):
        assert artifact.inputs[f"met3r/{key}"] == plan.paths.weights(name)
    world_config["scoring"] = {"met3r": {**released, "feature_checkpoint": "dino.pth"}}
    assert "dino16" not in needed_models(parse_config(world_config, "c"))


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, "dinov2_vits14"),
        ({"entry": "dinov2_vitb14_reg"}, "dinov2_vitb14_reg"),
        ({"hub": str(Path(hub.__file__).parent)}, "dinov2_vits14"),
        ({"hub": "someone/dinov2:0123456"}, None),  # may have weights of its own
        ({"hub": ".", "entry": "dinov2"}, None),
        ({"entry": "dinov2_vitg14"}, None),  # torch.hub's to fetch
        ({"feature_checkpoint": "conftest.py"}, None),
    ],
)
def test_dinov2s_published_weights_are_fetched_and_not_by_the_job(world_config, settings, name):
    content = world_config | {"scoring": {"met3r": settings}, "metrics": ["disparity", "met3r"]}
    assert needed_models(parse_config(content, "c")) == ({name: None} if name else {})
    if name:
        plan = resolve(content, "c")
        artifact = next(a for a in EVALUATE.artifacts(plan, "mono-copy", plan.clips[0]) if "network" in a.parameters)
        assert artifact.inputs["met3r/feature_checkpoint"] == plan.paths.weights(name)


def test_only_a_run_with_networks_asks_for_a_gpu(scored_config, world_config):
    plan = resolve({**scored_config, "device": "auto"}, "c")
    assert EVALUATE.uses_gpu(plan)
    assert not EVALUATE.uses_gpu(resolve({**scored_config, "device": "cpu"}, "c"))
    assert not EVALUATE.uses_gpu(resolve({**world_config, "metrics": ["disparity"], "device": "auto"}, "c"))
