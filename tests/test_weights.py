import hashlib
import json
import logging
import shutil
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError
from torchvision.models.optical_flow import Raft_Large_Weights, Raft_Small_Weights

from stereozero.backbones.variants import VARIANTS
from stereozero.cli import main
from stereozero.config import parse_config
from stereozero.errors import InputError
from stereozero.jobs import plan_jobs
from stereozero.plan import resolve, write_plan
from stereozero.published_models import REGISTRY
from stereozero.weights import FetchedFile, fetch, generator_model, locate, needed_models

CONTENT = b"weights"
SHA = hashlib.sha256(CONTENT).hexdigest()
MODEL = replace(REGISTRY["dynamicrafter-512"], sha256=SHA, revision="a" * 40, gigabytes=1e-9)


@pytest.fixture
def hub(tmp_path, monkeypatch) -> list:
    """Stand in for the hub: files arrive in its cache's layout. Returns the list of downloads."""
    downloads = []

    def download(repository, file, *, cache_dir, revision):
        downloads.append((repository, file, revision))
        blob = Path(cache_dir) / "blobs" / SHA
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(CONTENT)
        link = Path(cache_dir) / "snapshots" / file
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(blob)
        return str(link)

    def cached(repository, file, *, cache_dir, revision):
        link = Path(cache_dir) / "snapshots" / file
        return str(link) if link.exists() else None

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", cached)
    return downloads


def test_a_file_is_fetched_once_at_its_revision_and_verified(hub, tmp_path):
    first = fetch(MODEL, cache=tmp_path / "cache")
    assert (first.size, first.sha256) == (len(CONTENT), SHA)
    assert fetch(MODEL, cache=tmp_path / "cache") == first
    assert hub == [("Doubiiu/DynamiCrafter_512", "model.ckpt", "a" * 40)]
    assert locate(MODEL, cache=tmp_path / "cache") == first.path


def test_a_file_with_another_checksum_is_refused(hub, tmp_path):
    with pytest.raises(InputError, match=f"its SHA-256 is {SHA}, that of model.ckpt of .* is {'0' * 64}; delete it"):
        fetch(replace(MODEL, sha256="0" * 64), cache=tmp_path / "cache")


def test_without_a_known_checksum_the_hubs_own_counts(hub, tmp_path, caplog):
    unknown = replace(MODEL, sha256=None)
    path = fetch(unknown, cache=tmp_path / "cache").path
    assert "no checksum is known" not in caplog.text
    path.resolve().write_bytes(b"damaged")
    with pytest.raises(InputError, match=f"is {SHA}; delete it and fetch it again"):
        fetch(unknown, cache=tmp_path / "cache")
    local = tmp_path / "mine.ckpt"
    local.write_bytes(CONTENT)
    caplog.set_level(logging.WARNING)
    assert fetch(unknown, local).sha256 == SHA
    assert f"no checksum is known for {local}; its SHA-256 is {SHA}" in caplog.text


def test_a_local_copy_of_another_content_is_used_and_warned_of(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    local = tmp_path / "pruned_bf16.safetensors"
    local.write_bytes(b"pruned")
    found = hashlib.sha256(b"pruned").hexdigest()
    assert fetch(MODEL, local) == FetchedFile(local, len(b"pruned"), found)
    assert f"{local} is not the published file: its SHA-256 is {found}, that of model.ckpt of " in caplog.text
    assert "It is used because you name it; its keys and shapes must fit the model" in caplog.text


def test_a_local_copy_wins_and_must_exist(hub, tmp_path):
    local = tmp_path / "mine.ckpt"
    with pytest.raises(InputError, match=r"generator\.checkpoint: there is no file .*mine\.ckpt"):
        fetch(MODEL, local, tmp_path / "cache")
    local.write_bytes(CONTENT)
    assert fetch(MODEL, local, tmp_path / "cache").path == local
    assert hub == []


def test_a_full_disk_is_noticed_before_the_download(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1, 1, int(3e9)))
    with pytest.raises(InputError) as caught:
        fetch(replace(MODEL, gigabytes=10.4), cache=tmp_path / "deep" / "cache")
    assert "model.ckpt of huggingface.co/Doubiiu/DynamiCrafter_512 (10.4 GB" in str(caught.value)
    assert f"does not fit: 3.0 GB are free at {tmp_path}; make room, or set weights_folder" in str(caught.value)
    assert hub == []


def test_without_network_one_message_says_which_file_from_where_and_where_to(hub, tmp_path, monkeypatch):
    def offline(*arguments, **options):
        raise LocalEntryNotFoundError("Cannot reach the hub\nmore")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", offline)
    with pytest.raises(InputError) as caught:
        fetch(MODEL, cache=tmp_path)
    message = str(caught.value)
    assert "\n" not in message
    assert f"looked in {tmp_path} (Cannot reach the hub)" in message
    assert f"run 'hf download Doubiiu/DynamiCrafter_512 model.ckpt --revision {'a' * 40}'" in message
    assert "name its path in the config as generator.checkpoint" in message
    with pytest.raises(InputError, match="has been removed since the rule 'weights' ran"):
        locate(MODEL, cache=tmp_path)


def test_the_real_client_offline(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="its weights are not on this machine and can't be fetched"):
        fetch(replace(REGISTRY["dynamicrafter-1024"], gigabytes=0.0), cache=tmp_path)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("depthcrafter-unet", "unet"),
        ("svd-xt-vae", "svd"),
        ("depth-pro", "folder"),
        ("depth-anything-v1-large", "folder"),
        ("video-depth-anything-vitl", "checkpoint"),
    ],
)
def test_a_depth_models_missing_weights_are_named_with_the_key_that_takes_a_copy(name, key, tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError) as caught:
        fetch(replace(REGISTRY[name], gigabytes=0.0), cache=tmp_path)
    message = str(caught.value)
    assert f"{name}: its weights are not on this machine and can't be fetched" in message
    assert f"hf download {REGISTRY[name].repository}" in message
    assert message.endswith(f"name its path in the config as depths.<name>.{key}")


def test_every_official_variant_is_registered():
    for name, variant in VARIANTS.items():
        model = REGISTRY[f"dynamicrafter-{name}"]
        assert model.repository == variant.repository
        assert model.sha256 is None or len(model.sha256) == 64
        assert model.revision is None or len(model.revision) == 40


def config_with(**generator):
    return parse_config(
        {"run": "r", "manifest": "m", "generator": {"kind": "dynamicrafter", **generator}}, "config.yaml"
    )


def test_what_a_run_needs():
    assert needed_models(config_with(variant=256)) == {"dynamicrafter-256": None}
    assert needed_models(config_with(variant=256, checkpoint="c")) == {"dynamicrafter-256": Path("c")}
    assert needed_models(config_with(folder="f")) == {}
    assert generator_model(config_with(folder="f").generator) is None


def depths(*variants):
    content = {"run": "r", "manifest": "m", "depths": {f"d{number}": one for number, one in enumerate(variants)}}
    return parse_config(content, "config.yaml")


def test_what_depth_variants_need():
    pair = {"depthcrafter-unet", "svd-xt-vae", "svd-xt-image-encoder"}
    assert needed_models(depths({"estimator": "depthcrafter"})).keys() == pair
    assert needed_models(depths({"estimator": "depthcrafter", "svd": "s"})).keys() == {"depthcrafter-unet"}
    assert needed_models(depths({"estimator": "depthcrafter", "folder": "f"})) == {}
    published = depths(
        {"estimator": "depth-pro"},
        {"estimator": "depth-pro", "percentiles": [0, 100]},
        *({"estimator": "depth-anything", "variant": name} for name in ("v1-large", "v2-small", "v2-base", "v2-large")),
        *({"estimator": "video-depth-anything", "variant": name} for name in ("vits", "vitl")),
    )
    assert len(needed_models(published)) == 7
    assert needed_models(published).keys() <= REGISTRY.keys()
    local = depths(
        {"estimator": "depth-pro", "folder": "f"},
        {"estimator": "depth-anything", "folder": "f"},
        {"estimator": "video-depth-anything", "variant": "vits", "checkpoint": "c"},
        {"estimator": "world"},
    )
    assert needed_models(local) == {}


def test_what_propagating_needs():
    given = {"estimator": "given"}
    change = {"estimator": "derived", "depth": "d0"}
    assert needed_models(depths(given, {**change, "propagate": "paper"})) == {"raft": None}
    small = {**change, "propagate": "reference", "flow": "raft_small"}
    assert needed_models(depths(given, small)) == {"raft-small": None}
    assert needed_models(depths(given, {**change, "propagate": "paper", "flow": "dis"})) == {}
    assert needed_models(depths(given, {**change, "downsample": 2})) == {}


def test_torchvisions_own_default_weights_are_registered():
    for name, weights in (("raft", Raft_Large_Weights.DEFAULT), ("raft-small", Raft_Small_Weights.DEFAULT)):
        assert f"{REGISTRY[name].address}/{REGISTRY[name].file}" == weights.url
        assert REGISTRY[name].gigabytes == pytest.approx(weights.meta["_file_size"] / 1000, rel=0.1)


def test_a_networks_configuration_is_fetched_with_it(hub, tmp_path):
    model = replace(REGISTRY["depth-pro"], sha256=SHA, gigabytes=1e-9)
    path = fetch(model, cache=tmp_path / "cache").path
    assert [file for _, file, _ in hub] == ["model.safetensors", "config.json"]
    assert (path.parent / "config.json").is_file()
    (path.parent / "config.json").unlink()
    with pytest.raises(InputError) as caught:
        locate(model, cache=tmp_path / "cache")
    message = str(caught.value)
    assert "run 'hf download apple/DepthPro-hf model.safetensors config.json --revision 3a8b512" in message
    assert "--local-dir depth-pro'; then bring the folder here" in message
    assert message.endswith("name its path in the config as depths.<name>.folder")


def test_estimation_and_dissolving_wait_for_verified_weights(world_config):
    world_config["depths"] |= {
        "crafter": {"estimator": "depthcrafter"},
        "soft": {"estimator": "derived", "depth": "crafter", "dissolve": 40},
        "half": {"estimator": "derived", "depth": "crafter", "downsample": 2},
    }
    plan = resolve(world_config, "config.yaml")
    needs = {job.name: job.needs for job in plan_jobs(plan)}
    for model in ("depthcrafter-unet", "svd-xt-vae", "svd-xt-image-encoder"):
        assert plan.paths.weights(model) in needs["estimate_crafter_1of1"]
        assert plan.paths.weights(model) in needs["derive_soft_1of1"]
        assert plan.paths.weights(model) not in needs["derive_half_1of1"]


def test_generation_waits_for_verified_weights_and_is_keyed_by_their_content(image_config, tmp_path, monkeypatch):
    local = tmp_path / "mine.ckpt"
    local.write_bytes(CONTENT)
    monkeypatch.setitem(REGISTRY, "dynamicrafter-512", MODEL)
    image_config |= {
        "video": {"height": 320, "width": 512, "frames": 16},
        "generator": {"kind": "dynamicrafter", "variant": 512, "checkpoint": str(local)},
    }
    plan = resolve(image_config, "config.yaml")
    facts = plan.paths.weights("dynamicrafter-512")
    (job,) = [job for job in plan_jobs(plan) if job.stage.name == "generate"]
    assert facts in job.needs
    write_plan(plan, plan.paths.plan)
    assert main(["weights", "--plan", str(plan.paths.plan)]) == 0
    assert json.loads(facts.read_text()) == {"model": "dynamicrafter-512", "bytes": len(CONTENT), "sha256": SHA}
    assert json.loads(facts.with_name("source.json").read_text())["path"] == str(local)
    assert main(["weights", "--plan", str(plan.paths.plan), "--models", "sora"]) == 1


def test_a_file_that_lies_elsewhere_is_downloaded_once(tmp_path, monkeypatch):
    addresses = []

    def download(address, target):
        addresses.append(address)
        target.write_bytes(b"weights")

    monkeypatch.setattr("stereozero.download._download", download)
    raft = replace(REGISTRY["raft"], sha256=SHA[:8])
    for _ in range(2):
        found = fetch(raft, cache=tmp_path)
    assert addresses == ["https://download.pytorch.org/models/raft_large_C_T_SKHT_V2-ff5fadd5.pth"]
    assert found.path.read_bytes() == b"weights"
    assert locate(raft, cache=tmp_path) == found.path
    with pytest.raises(InputError, match=f"its SHA-256 is {SHA}, that of .*ff5fadd5.pth .* is ff5fadd5; delete it"):
        fetch(REGISTRY["raft"], cache=tmp_path)


@pytest.mark.parametrize(
    ("name", "licence"),
    [("mast3r", "CC BY-NC-SA 4.0: non-commercial use only"), ("depth-pro", "research purposes only")],
)
def test_a_licence_that_restricts_use_is_shown(tmp_path, caplog, name, licence):
    (tmp_path / "copy").write_bytes(CONTENT)
    fetch(REGISTRY[name], tmp_path / "copy")
    assert f"{name}: " in caplog.text
    assert licence in caplog.text


def test_without_network_it_is_said_what_to_download_and_where_to_name_it(tmp_path, monkeypatch):
    def offline(request, timeout):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(urllib.request, "urlopen", offline)
    with pytest.raises(InputError) as error:
        fetch(REGISTRY["dino16"], cache=tmp_path)
    message = str(error.value)
    assert "dino16: its weights are not on this machine and can't be fetched" in message
    assert "(no route to host)" in message
    address = "https://dl.fbaipublicfiles.com/dino/dino_deitsmall16_pretrain/dino_deitsmall16_pretrain.pth"
    assert f"download {address}; then bring the file here as {tmp_path}/stereozero/dino_deits" in message
    assert message.endswith("name its path in the config as scoring.met3r.feature_checkpoint")
    assert not list(tmp_path.rglob("*.pth"))
    with pytest.raises(InputError, match=r"bring the file here as .*/stereozero/raft_small_C_T_V2-01064c6d\.pth$"):
        fetch(REGISTRY["raft-small"], cache=tmp_path)
