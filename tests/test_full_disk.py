"""What happens when the disk is full or read-only, on real file systems of a few kilobytes."""

import subprocess

import pytest

from stereozero.artifacts import Artifact, make_all, write_json
from stereozero.errors import InputError, StageError
from stereozero.plan import check_writable


@pytest.fixture
def tiny_disk(tmp_path):
    """Return a mounted file system of 200 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small tmpfs needs root and is not allowed here")
    yield folder
    subprocess.run(["umount", str(folder)], check=False)


def artifact(folder, size) -> Artifact:
    return Artifact("c", folder / "c", ("a.bin",), {"size": size}, {})


def make(made, folder):
    (folder / "a.bin").write_bytes(bytes(made.parameters["size"]))


def test_a_full_disk_is_explained_and_costs_nothing_that_was_there(tiny_disk):
    make_all("stage", 1, [artifact(tiny_disk, 50_000)], make)
    before = {path.name: path.read_bytes() for path in (tiny_disk / "c").iterdir()}
    with pytest.raises(StageError, match=r"No space left on device \(.*/disk/c\); check disk space"):
        make_all("stage", 1, [artifact(tiny_disk, 500_000)], make)
    assert {path.name: path.read_bytes() for path in (tiny_disk / "c").iterdir()} == before
    assert [path.name for path in tiny_disk.iterdir()] == ["c"]
    with pytest.raises(OSError, match="No space left"):
        write_json(tiny_disk / "x.json", "x" * 500_000)
    assert not (tiny_disk / "x.json").exists()


def test_a_read_only_folder_is_refused_before_any_work(tiny_disk):
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    with pytest.raises(InputError, match=r"results folder .*: can't write there \(Read-only file system\)"):
        check_writable(tiny_disk / "results")
