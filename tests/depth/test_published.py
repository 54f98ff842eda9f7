import re

import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from stereozero.depth.published import PUBLISHED, model_folder
from stereozero.errors import InputError


@pytest.fixture
def offline(monkeypatch):
    def refuse(*args, **kwargs):
        raise LocalEntryNotFoundError("An error happened while trying to locate the files.\nDetails follow.")

    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)


@pytest.mark.parametrize("name", PUBLISHED)
def test_missing_offline_names_file_source_and_place(name, offline, tmp_path):
    with pytest.raises(InputError) as error:
        model_folder(name, cache=tmp_path)
    message, model = str(error.value), PUBLISHED[name]
    assert message.startswith(f"{name}: its weights are not on this machine (looked in {tmp_path}; An error happened")
    assert all(file in message for file in model.files)
    assert f"huggingface.co/{model.repository}" in message
    assert f"run 'hf download {model.repository} " in message
    assert message.endswith("bring this folder here and name its path as the model's folder")
    assert (f"--revision {model.revision}" in message) == (model.revision is not None)
    assert "Details" not in message


def test_what_is_fetched(monkeypatch, tmp_path):
    calls = []

    def fetch(repository, **options):
        calls.append((repository, options))
        for file in options["allow_patterns"]:
            (tmp_path / file).touch()
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    assert model_folder("depth-pro") == tmp_path
    expected = {
        "revision": PUBLISHED["depth-pro"].revision,
        "allow_patterns": ["config.json", "model.safetensors"],
        "cache_dir": None,
    }
    assert calls == [("apple/DepthPro-hf", expected)]


def test_a_folder_of_the_users_own(offline, tmp_path):
    (tmp_path / "config.json").touch()
    with pytest.raises(InputError, match=rf"depth-pro: .*\({re.escape(str(tmp_path))} has no model\.safetensors\)"):
        model_folder("depth-pro", tmp_path)
    (tmp_path / "model.safetensors").touch()
    assert model_folder("depth-pro", tmp_path) == tmp_path


def test_a_name_with_a_typo():
    with pytest.raises(InputError, match="depth: there is no model 'depth-por'; did you mean 'depth-pro'"):
        model_folder("depth-por")
    with pytest.raises(InputError, match=r"there is no model 'zoe'; known: depth-anything-v1-large, depth-anything-v2"):
        model_folder("zoe")
