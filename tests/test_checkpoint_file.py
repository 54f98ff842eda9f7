from argparse import Namespace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from stereozero.checkpoint_file import check_keys, read_checkpoint
from stereozero.errors import InputError

TENSORS = {"a.weight": torch.arange(2000.0).reshape(40, 50), "a.bias": torch.ones(3)}


def write(path: Path, kind: str) -> Path:
    if kind == "safetensors":
        save_file(TENSORS, path)
    else:
        torch.save(TENSORS, path)
    return path


@pytest.mark.parametrize("kind", ["pickled", "safetensors"])
def test_the_format_is_told_from_the_content(tmp_path, kind):
    content = read_checkpoint(write(tmp_path / "model", kind))
    assert content.keys() == TENSORS.keys()
    assert all(torch.equal(content[name], value) for name, value in TENSORS.items())


@pytest.mark.parametrize("kind", ["pickled", "safetensors"])
def test_a_truncated_file(tmp_path, kind):
    path = write(tmp_path / "model", kind)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"model \(\d+ bytes\) is truncated or corrupted\. Delete it"):
        read_checkpoint(path)


@pytest.mark.parametrize("content", [b"", b"<!doctype html>", b"version https://git-lfs.github.com/spec/v1\n"])
def test_something_else_saved_in_its_place(tmp_path, content):
    (tmp_path / "model.pth").write_bytes(content)
    with pytest.raises(InputError, match="neither a PyTorch checkpoint"):
        read_checkpoint(tmp_path / "model.pth")


def test_no_file(tmp_path):
    with pytest.raises(InputError, match=r"no checkpoint at .*absent\.pth"):
        read_checkpoint(tmp_path / "absent.pth")


def test_no_mapping(tmp_path):
    torch.save([torch.ones(1)], tmp_path / "model.pth")
    with pytest.raises(InputError, match="holds a list, not the named tensors of a network"):
        read_checkpoint(tmp_path / "model.pth")


def test_other_objects_are_read_only_where_they_are_allowed(tmp_path):
    path = tmp_path / "model.pth"
    torch.save({"model": TENSORS, "args": Namespace(rate=0.1, names=["x"])}, path)
    with pytest.raises(InputError, match=r"Python objects \(argparse\.Namespace\).*can run code"):
        read_checkpoint(path)
    assert read_checkpoint(path, allowed=[Namespace])["args"] == Namespace(rate=0.1, names=["x"])
    with pytest.raises(InputError, match="can run code"):  # the permission ended with the call
        read_checkpoint(path)


def test_keys_that_fit():
    check_keys(Path("model.pth"), TENSORS, TENSORS)


def test_one_message_lists_all_that_does_not_fit():
    found = {"a.weight": torch.zeros(4, 50), "b.bias": torch.zeros(3), "c.bias": torch.zeros(3)}
    with pytest.raises(InputError) as caught:
        check_keys(Path("some/model.pth"), found, TENSORS)
    assert str(caught.value).splitlines() == [
        "some/model.pth does not fit the model:",
        "  1 missing: a.bias",
        "  2 unexpected: b.bias, c.bias",
        "  1 of another shape: a.weight [4, 50] instead of [40, 50]",
    ]


def test_long_lists_are_cut_short():
    many = {f"layer{number}": torch.zeros(1) for number in range(25)}
    with pytest.raises(InputError, match=r"25 missing: layer0, .*layer9 and 15 more"):
        check_keys(Path("model.pth"), {}, many)
