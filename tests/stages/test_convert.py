"""Methods of others in the pipeline: an adapter of one's own, a program, an image model, and what can't be run."""

import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from external_programs import PAINTER, at, git_repository

from stereozero.artifacts import sha256_of
from stereozero.baselines import immersepro, propainter
from stereozero.cli import main
from stereozero.errors import InputError, StageError
from stereozero.jobs import STAGES, plan_jobs
from stereozero.plan import Plan, describe_plan, resolve
from stereozero.stages.convert import CONVERT, install_programs
from stereozero.stages.tabulate import tabulate
from stereozero.video import read_video

REPOSITORY = Path(__file__).parents[2]


def documented(language: str) -> list[str]:
    """Return the document's blocks of code in a language, as a reader copies them."""
    text = (REPOSITORY / "docs" / "adding-a-baseline.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


ADAPTER, PROGRAM_ADAPTER = documented("python")


@pytest.fixture
def own_adapter(tmp_path, world_config, monkeypatch) -> Path:
    """Do what the document says, in the folder that Snakemake would be started in."""
    monkeypatch.chdir(tmp_path)
    path = Path("shifted.py")
    path.write_text(ADAPTER)
    world_config["metrics"] = ["disparity"]
    (block,) = documented("yaml")
    world_config |= yaml.safe_load(block)
    world_config["methods"] |= {"mono-copy": {"kind": "mono-copy"}}
    return path


def run(plan: Plan, *, only: str | None = None) -> None:
    for stage in (stage for stage in STAGES if stage.name != "deliver"):
        for variant in stage.variants(plan):
            if only in (None, variant) or stage.name in ("world", "truth", "depth"):
                stage.run(plan, variant, stage.clips(plan, variant))


def test_ten_lines_of_ones_own_are_a_row_of_the_table(world_config, own_adapter):
    plan = resolve(world_config, "config.yaml")
    run(plan)
    target = read_video(plan.paths.target_video("shifted", "w1")).frames
    source = read_video(plan.paths.source_video(plan.clip("w1"))).frames
    assert np.array_equal(target, np.roll(source, -2, axis=2))  # 4 % of 96 columns, halved
    tabulate(plan)
    assert "| shifted | 2 |" in (plan.paths.tables / "table1.md").read_text()


def test_editing_an_adapter_makes_its_targets_again(world_config, own_adapter):
    plan = resolve(world_config, "config.yaml")
    run(plan, only="shifted")
    record = plan.paths.target("shifted", "w1") / "record.json"
    before = record.read_text()
    CONVERT.run(plan, "shifted", plan.clips)
    assert record.read_text() == before
    own_adapter.write_text(ADAPTER.replace("/ 200", "/ 100"))
    CONVERT.run(plan, "shifted", plan.clips)
    assert json.loads(record.read_text())["key"] != json.loads(before)["key"]


def test_an_adapter_that_breaks_the_contract_fails_with_its_name(world_config, own_adapter):
    own_adapter.write_text(ADAPTER.replace("np.roll(conversion.source", "np.roll(conversion.source[1:]"))
    with pytest.raises(StageError, match="shifted: made 3 frames of a clip with 4"):
        run(resolve(world_config, "config.yaml"), only="shifted")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "propanter"}, "methods.theirs: there is no adapter 'propanter'; name one of propainter, immersepro"),
        ({"settings": {"fp32": True}}, "methods.theirs: settings: unknown fp32; known: mask_dilation, ref_stride"),
        ({"depth": "dpt"}, r"methods\.theirs\.depth: there is no depth variant 'dpt'"),
    ],
)
def test_mistakes_are_found_before_anything_runs(world_config, change, message):
    world_config["methods"]["theirs"] = {"kind": "external", "name": "propainter", "depth": "world"} | change
    with pytest.raises(InputError, match=message):
        resolve(world_config, "config.yaml")


NO_ENVIRONMENT = ADAPTER.replace("import Declaration", "import Declaration, Source").replace(
    'licence="public domain"', 'licence="public domain", source=Source("https://example.org/theirs.git", "0" * 40)'
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "import nothing_of_this_name",
            r"shifted\.py, line 1: can't be imported: ModuleNotFoundError: No module named",
        ),
        ("x = 1\ny = int('two')", r"shifted\.py, line 2: can't be imported: ValueError: invalid literal"),
        ("import math\n\nmath.tau_squared", r"shifted\.py, line 3: can't be imported: AttributeError"),
        ("x = 1\ny = = 2", r"shifted\.py, line 2: can't be imported: SyntaxError"),
        ("x = 1", "needs DECLARATION and convert"),
        ("DECLARATION = 'mine'\ndef convert(conversion): pass", "DECLARATION is of type str; make it a Declaration"),
        (NO_ENVIRONMENT, "has a source, but no environment"),
    ],
)
def test_a_file_that_is_no_adapter_is_refused(world_config, own_adapter, text, message):
    own_adapter.write_text(text)
    with pytest.raises(InputError, match=message):
        resolve(world_config, "config.yaml")


@pytest.fixture
def missing(world_config) -> Plan:
    """Return a plan with two methods whose parts are not on this machine."""
    world_config["metrics"] = ["disparity"]
    theirs = {"kind": "external", "name": "propainter", "depth": "world"}
    image = {"kind": "stereodiffusion", "model": "nowhere", "depth": "world"}
    world_config["methods"] |= {"propainter": theirs, "stereodiffusion": image}
    return resolve(world_config, "config.yaml")


def test_what_cannot_run_is_left_out_and_said_with_the_reason(missing):
    assert set(missing.obstacles) == {"propainter", "stereodiffusion"}
    assert not [job for job in plan_jobs(missing) if job.variant in missing.obstacles]
    said = "\n".join(describe_plan(missing))
    assert "method 'propainter' is not run: propainter: its code is not on this machine" in said
    assert "method 'stereodiffusion' is not run: stereodiffusion: there is no nowhere/unet/config.json" in said


def test_the_table_has_a_row_for_what_was_not_run(missing):
    run(missing)
    tabulate(missing)
    rows = pd.read_csv(missing.paths.tables / "table1.csv").query("origin == 'measured'").set_index("method")
    assert rows["not_run"].dropna().to_dict() == missing.obstacles
    assert rows.loc["propainter", "clips"] == 0
    table = (missing.paths.tables / "table1.md").read_text()
    assert "| propainter | not run | – |" in table
    assert "- `propainter` was not run: propainter: its code is not on this machine" in table
    assert "- `stereodiffusion`: kind: stereodiffusion; depth: world; model: nowhere\n" in table
    assert "Not every method ran" not in table
    assert "- stereodiffusion: 40 clips of DynamiCrafter, frame by frame" in table


@pytest.mark.parametrize("device", ["cpu", "auto"])
def test_what_needs_cuda_is_not_run_where_there_can_be_none(world_config, tmp_path, monkeypatch, device):
    commit = git_repository(tmp_path / "repository", {"inference_video.py": ""})
    monkeypatch.setattr(immersepro, "DECLARATION", at(immersepro.DECLARATION, tmp_path / "repository", commit))
    own = {"checkout": str(tmp_path / "repository"), "environment": sys.prefix}
    world_config["methods"]["theirs"] = {"kind": "external", "name": "immersepro", "depth": "world", **own}
    assert not resolve({**world_config, "device": "cuda"}, "config.yaml").obstacles
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}" if name == "sbatch" else None)
    elsewhere = resolve({**world_config, "device": device}, "config.yaml").obstacles  # jobs run on a cluster's nodes
    assert bool(elsewhere) == (device == "cpu")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    plan = resolve({**world_config, "device": device}, "config.yaml")
    assert plan.obstacles["theirs"].startswith("immersepro: runs on a CUDA device only; set 'device' to auto or cuda")
    assert not [job for job in plan_jobs(plan) if job.variant == "theirs"]


STAND_IN = """
import argparse, pathlib, shutil
parser = argparse.ArgumentParser()
parser.add_argument("--input")
parser.add_argument("--output")
given = parser.parse_args()
assert pathlib.Path("weights/model.pth").read_text() == "weights"
shutil.copytree(given.input, given.output)
"""


def test_a_program_is_adapted_as_the_document_says(world_config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    commit = git_repository(tmp_path / "repository", {"inference.py": STAND_IN})
    (tmp_path / "model.pth").write_text("weights")
    published = {
        "https://example.org/theirs.git": str(tmp_path / "repository"),
        "the full hash of the commit you read": commit,
        "https://example.org/model.pth": (tmp_path / "model.pth").as_uri(),
        "its SHA-256": sha256_of(tmp_path / "model.pth"),
    }
    adapter = PROGRAM_ADAPTER
    for place, found in published.items():
        assert place in adapter
        adapter = adapter.replace(place, found)
    Path("theirs.py").write_text(adapter)
    theirs = {"kind": "external", "name": "theirs.py", "depth": "world", "environment": sys.prefix}
    world_config["methods"] = {"theirs": theirs}
    install_programs(resolve(world_config, "config.yaml"))
    plan = resolve(world_config, "config.yaml")
    assert not plan.obstacles
    run(plan, only="theirs")
    target = read_video(plan.paths.target_video("theirs", "w1")).frames
    assert np.array_equal(target, read_video(plan.paths.source_video(plan.clip("w1"))).frames)


@pytest.fixture
def stand_in(tmp_path, world_config, monkeypatch) -> Plan:
    """Return a plan with a program of ProPainter's command line, written for tests; nothing of it is ProPainter's."""
    code = PAINTER.replace("{change}", "pass")
    commit = git_repository(tmp_path / "repository", {"inference_propainter.py": code})
    monkeypatch.setattr(propainter, "DECLARATION", at(propainter.DECLARATION, tmp_path / "repository", commit))
    settings = {"kind": "external", "name": "propainter", "depth": "world", "environment": sys.prefix}
    world_config["methods"] = {"painted": settings}
    return resolve(world_config, "config.yaml")


def test_a_program_is_installed_run_and_its_log_kept(stand_in, world_config, tmp_path):
    assert "painted" in stand_in.obstacles
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(world_config))
    assert main(["prepare", str(tmp_path / "config.yaml")]) == 0
    plan = resolve(world_config, "config.yaml")
    assert not plan.obstacles
    assert "non-commercial use only" in "\n".join(describe_plan(plan))
    run(plan, only="painted")
    assert plan.paths.target_video("painted", "w1").is_file()
    assert "inference_propainter.py" in plan.paths.program_log("painted", "w1").read_text()
    record = json.loads((plan.paths.target("painted", "w1") / "record.json").read_text())
    assert record["parameters"]["commit"] == propainter.DECLARATION.source.commit
    assert "non-commercial" in record["notes"]["licence"]


def test_a_log_is_kept_when_the_program_fails(stand_in, world_config, monkeypatch):
    install_programs(stand_in)
    declaration = replace(propainter.DECLARATION, needs_cuda=False)
    monkeypatch.setattr(propainter, "DECLARATION", declaration)
    plan = resolve(world_config, "config.yaml")
    checkout = next(plan.paths.programs.glob("propainter-*[0-9a-f]"))
    (checkout / "inference_propainter.py").write_text("raise SystemExit('no GPU memory left')")
    with pytest.raises(StageError, match=r"(?s)w1.*no GPU memory left.*w2"):
        run(plan, only="painted")
    assert "no GPU memory left" in plan.paths.program_log("painted", "w1").read_text()
    shutil.rmtree(checkout)
    assert "painted" in resolve(world_config, "config.yaml").obstacles


@pytest.fixture
def image_model(tmp_path, world_config) -> Path:
    """Add a method with a tiny image model of random weights, for the way through the stage, not for its pictures."""
    from stereozero.world.training.clip import ClipSettings, build_conditioner
    from stereozero.world.training.image_unet import ImageUNetSettings, build_unet, save_image_model
    from stereozero.world.training.vae import VaeSettings, build_vae

    texts = ClipSettings(image_width=32, image_layers=1, text_width=16, text_layers=2)
    unet = build_unet(ImageUNetSettings(widths=(16, 16), norm_groups=4), latent_channels=4, text_width=16)
    save_image_model(unet, tmp_path / "image")
    build_vae(VaeSettings(widths=(16, 16, 16), latent_channels=4)).save_pretrained(tmp_path / "generator" / "vae")
    build_conditioner(texts).save_pretrained(tmp_path / "generator" / "conditioner")
    world_config["methods"] = {
        "stereodiffusion": {
            "kind": "stereodiffusion",
            "depth": "world",
            "model": str(tmp_path / "image"),
            "encoders": str(tmp_path / "generator"),
            "height": None,
            "width": None,
            **{"steps": 2, "null_text_steps": 0, "shift_step": 0, "attention_step": 0, "frames_at_once": 4},
        }
    }
    return tmp_path / "image"


def test_stereodiffusion_runs_on_the_configured_model(world_config, image_model):
    plan = resolve(world_config, "config.yaml")
    assert not plan.obstacles
    assert "under the CreativeML Open RAIL-M licence" in "\n".join(describe_plan(plan))
    run(plan, only="stereodiffusion")
    assert read_video(plan.paths.target_video("stereodiffusion", "w1")).frames.shape == (4, 64, 96, 3)
    inputs = json.loads((plan.paths.target("stereodiffusion", "w1") / "record.json").read_text())["inputs"]
    assert {"unet/config.json", "vae/diffusion_pytorch_model.safetensors", "conditioner/config.json"} <= inputs.keys()
    shutil.rmtree(image_model / "unet")
    assert "unet/config.json" in resolve(world_config, "config.yaml").obstacles["stereodiffusion"]


def test_one_side_alone_is_no_size(world_config, image_model):
    world_config["methods"]["stereodiffusion"]["height"] = 64
    with pytest.raises(InputError, match="give both 'height' and 'width'"):
        resolve(world_config, "config.yaml")
