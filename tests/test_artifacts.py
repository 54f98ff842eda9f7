import json
import os
import socket
import subprocess
import sys

import pytest

from stereozero.artifacts import (
    Artifact,
    Recipe,
    atomic_path,
    canonical_json,
    copy_file,
    damage,
    make_all,
    read_record,
    sha256_of,
    write_json,
)
from stereozero.errors import InputError, StageError


def artifact(folder, *, clip_id="c", parameters=None, inputs=None) -> Artifact:
    return Artifact(clip_id, folder / clip_id, ("a.txt", "b.txt"), parameters or {"x": 1}, inputs or {})


class Maker:
    """Writes both files and counts how often it was asked to."""

    def __init__(self, fails=()):
        self.made: list[str] = []
        self.fails = fails

    def __call__(self, made, folder):
        self.made.append(made.clip_id)
        (folder / "a.txt").write_text(f"a of {made.clip_id}")
        if made.clip_id in self.fails:
            raise InputError("this clip is bad")
        (folder / "b.txt").write_text("b")
        return {"note": 7}


def test_what_is_present_is_not_made_again(tmp_path):
    make = Maker()
    for _ in range(2):
        make_all("stage", 1, [artifact(tmp_path)], make)
    assert make.made == ["c"]
    record = read_record(tmp_path / "c")
    assert record["files"]["a.txt"]["sha256"] == sha256_of(tmp_path / "c" / "a.txt")
    assert record["notes"] == {"note": 7}
    assert record["made"]["code"].startswith("0.")


@pytest.mark.parametrize("change", ["parameter", "version", "input", "truncated", "missing", "record"])
def test_whatever_it_depends_on_makes_it_again(tmp_path, change):
    source = tmp_path / "in.txt"
    source.write_text("one")
    make, parameters, version = Maker(), {"x": 1}, 1
    make_all("stage", version, [artifact(tmp_path, parameters=parameters, inputs={"in": source})], make)
    match change:
        case "parameter":
            parameters = {"x": 2}
        case "version":
            version = 2
        case "input":
            source.write_text("other")
        case "truncated":
            (tmp_path / "c" / "a.txt").write_text("a o")
        case "missing":
            (tmp_path / "c" / "b.txt").unlink()
        case "record":
            (tmp_path / "c" / "record.json").write_text("{")
    make_all("stage", version, [artifact(tmp_path, parameters=parameters, inputs={"in": source})], make)
    assert make.made == ["c", "c"]
    assert damage(tmp_path / "c") is None


def test_one_failure_keeps_the_others_and_is_named(tmp_path):
    make = Maker(fails=("two",))
    work = [artifact(tmp_path, clip_id=name) for name in ("one", "two", "three")]
    with pytest.raises(
        StageError, match=r"stage: 1 of 3 clips failed, the others are kept:\n  clip 'two': this clip is bad"
    ):
        make_all("stage", 1, work, make)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "three"]
    make.fails = ()
    make_all("stage", 1, work, make)
    assert make.made == ["one", "two", "three", "two"]


def test_a_failure_leaves_the_older_artefact_as_it_was(tmp_path):
    make = Maker()
    make_all("stage", 1, [artifact(tmp_path)], make)
    before = {path.name: path.read_bytes() for path in (tmp_path / "c").iterdir()}
    make.fails = ("c",)
    with pytest.raises(StageError):
        make_all("stage", 1, [artifact(tmp_path, parameters={"x": 2})], make)
    assert {path.name: path.read_bytes() for path in (tmp_path / "c").iterdir()} == before


def test_a_stage_that_forgets_a_file_is_found_out(tmp_path):
    def forgetful(made, folder):
        (folder / "a.txt").touch()

    with pytest.raises(StageError, match=r"the stage did not write b\.txt"):
        make_all("stage", 1, [artifact(tmp_path)], forgetful)
    assert not (tmp_path / "c").exists()


def test_an_unexpected_error_of_one_clip_does_not_lose_the_others(tmp_path):
    def broken(made, folder):
        if made.clip_id == "one":
            raise ZeroDivisionError("oh")
        Maker()(made, folder)

    with pytest.raises(StageError, match="clip 'one': unexpected ZeroDivisionError: oh"):
        make_all("stage", 1, [artifact(tmp_path, clip_id=name) for name in ("one", "two")], broken)
    assert damage(tmp_path / "two") is None


def test_a_truncated_input_is_refused(tmp_path):
    make_all("first", 1, [artifact(tmp_path / "first")], Maker())
    (tmp_path / "first" / "c" / "a.txt").write_text("")
    with pytest.raises(StageError, match=r"a\.txt is not what its record says .*verify --repair"):
        make_all("second", 1, [artifact(tmp_path, inputs={"a": tmp_path / "first" / "c" / "a.txt"})], Maker())


def test_leftovers_of_killed_processes_are_swept_and_those_of_live_ones_are_not(tmp_path):
    script = (
        "import sys, os, signal; from pathlib import Path; from stereozero.artifacts import *\n"
        "def make(made, folder):\n"
        "    (folder / 'a.txt').touch(); os.kill(os.getpid(), signal.SIGKILL)\n"
        f"make_all('stage', 1, [Artifact('c', Path({str(tmp_path / 'c')!r}), ('a.txt', 'b.txt'), {{}}, {{}})], make)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False, stderr=subprocess.DEVNULL).returncode == -9
    (left,) = tmp_path.iterdir()
    alive = left.with_name(left.name.rsplit("-", 1)[0] + f"-{os.getppid()}")
    alive.mkdir()
    make_all("stage", 1, [artifact(tmp_path)], Maker())
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["c", alive.name])


def test_leftovers_of_an_artefact_that_is_complete_are_swept_too(tmp_path):
    make_all("stage", 1, [artifact(tmp_path)], Maker())
    ended = subprocess.Popen(["true"])
    ended.wait()
    (tmp_path / f".c.partial-{socket.gethostname()}-{ended.pid}").mkdir()
    make_all("stage", 1, [artifact(tmp_path)], Maker())
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_atomic_path_keeps_the_old_file_when_the_block_fails(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("old")

    def write_half():
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        write_half()
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.txt"]
    assert path.read_text() == "old"


def test_json_does_not_hold_nan(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"a": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_equal_settings_have_equal_keys_however_they_are_written():
    first = Recipe("s", 1, {"a": 1.0, "b": [2, {"c": 3.5}]}, {})
    second = Recipe("s", 1, {"b": [2.0, {"c": 3.5}], "a": 1}, {})
    assert first.key == second.key
    assert first.key != Recipe("s", 1, {"a": True, "b": [2, {"c": 3.5}]}, {}).key
    assert json.loads(canonical_json({"ü": 1e300})) == {"ü": 1e300}


def test_a_copy_is_whole_or_the_older_one_stays(tmp_path, monkeypatch):
    (tmp_path / "new").write_text("new")
    copy = tmp_path / "kept" / "copy"
    copy_file(tmp_path / "new", copy)
    assert copy.read_text() == "new"

    def full(source, target):
        target.write_text("ne")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    (tmp_path / "new").write_text("newer")
    with pytest.raises(OSError, match="No space left"):
        copy_file(tmp_path / "new", copy)
    assert [path.read_text() for path in copy.parent.iterdir()] == ["new"]


def test_atomic_path_sweeps_what_a_killed_process_left(tmp_path):
    script = (
        "import os, signal; from pathlib import Path; from stereozero.artifacts import atomic_path\n"
        f"with atomic_path(Path({str(tmp_path / 'x.txt')!r})) as temporary:\n"
        "    temporary.touch(); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False, stderr=subprocess.DEVNULL).returncode == -9
    assert len(list(tmp_path.iterdir())) == 1
    write_json(tmp_path / "x.txt", 1)
    assert [path.name for path in tmp_path.iterdir()] == ["x.txt"]
