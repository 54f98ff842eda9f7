import hashlib
import http.server
import os
import stat
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from external_programs import at, git_repository, program

from stereozero.artifacts import sha256_of
from stereozero.baselines.declaration import Declaration, EnvironmentRecipe, Source, WeightFile
from stereozero.baselines.external import (
    build_environment,
    checkout_folder,
    clone,
    environment_folder,
    find,
    install,
    run_logged,
)
from stereozero.errors import InputError, StageError

DECLARATION = Declaration(
    name="painter",
    paper="none",
    licence="for tests only",
    source=Source("https://example.invalid/painter.git", "1" * 40),
    environment=EnvironmentRecipe("9.9", ()),
    timeout_minutes=1,
)


@pytest.fixture
def fake_python(tmp_path, monkeypatch) -> Path:
    """Put a python9.9 on the path whose 'venv' takes a moment, counts its calls and fails while 'broken' exists."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "python9.9"
    script.write_text(
        f"#!/bin/sh\necho build >> {tmp_path}/calls\nmkdir -p $3/bin\nsleep 0.3\n"
        f"if [ -e {tmp_path}/broken ]; then echo 'no space left'; exit 3; fi\n"
        f"ln -s {sys.executable} $3/bin/python\n"
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return tmp_path / "calls"


@pytest.fixture
def published(tmp_path) -> Declaration:
    """Return a program whose repository can be cloned."""
    repository = tmp_path / "repository"
    return at(DECLARATION, repository, git_repository(repository, {"paint.py": "print('painting')\n"}))


def test_a_program_is_cloned_at_its_commit_built_and_run(tmp_path, fake_python, published, caplog):
    folder = tmp_path / "programs"
    install(published, folder)
    install(published, folder)
    assert fake_python.read_text().count("build") == 1
    assert "for tests only" in caplog.text
    found = find(published, folder)
    assert found.checkout == checkout_folder(published, folder)
    assert found.timeout_s == 60
    found.run(["paint.py"], tmp_path / "log")
    assert "painting" in (tmp_path / "log").read_text()


def test_offline_the_error_says_what_to_clone_and_where(tmp_path):
    with pytest.raises(InputError) as error:
        clone(DECLARATION, tmp_path)
    target = checkout_folder(DECLARATION, tmp_path)
    assert f"git clone https://example.invalid/painter.git {target}" in str(error.value)
    assert f"git -C {target} checkout {'1' * 40}" in str(error.value)
    assert not target.exists()
    with pytest.raises(InputError, match=r"painter: its code is not on this machine"):
        find(DECLARATION, tmp_path)


def test_a_checkout_at_another_commit_is_refused(tmp_path, published):
    other = tmp_path / "other"
    commit = git_repository(other, {"paint.py": "print('other')\n"})
    with pytest.raises(InputError, match=f"is at commit {commit}; this adapter was written for"):
        find(published, tmp_path, checkout=other)


def test_a_folder_without_git_is_refused(tmp_path, published):
    (tmp_path / "zip").mkdir()
    with pytest.raises(InputError, match="is no git checkout"):
        find(published, tmp_path, checkout=tmp_path / "zip")


def test_a_users_checkout_and_environment_are_taken(tmp_path, published):
    prefix = Path(sys.prefix)
    found = find(published, tmp_path, tmp_path / "repository", prefix, timeout_minutes=0.5)
    assert found.python == prefix / "bin" / "python"
    assert found.timeout_s == 30
    with pytest.raises(InputError, match="is not an environment"):
        find(published, tmp_path, tmp_path / "repository", tmp_path)


def test_an_environment_that_failed_half_way_is_built_anew(tmp_path, fake_python):
    broken = tmp_path / "broken"
    broken.touch()
    with pytest.raises(StageError, match=r"(?s)status 3.*no space left") as error:
        build_environment(DECLARATION, tmp_path)
    assert "painter: its environment" in str(error.value)
    prefix = environment_folder(DECLARATION, tmp_path)
    assert (prefix / "bin").is_dir()
    broken.unlink()
    (prefix / "left-over").touch()
    build_environment(DECLARATION, tmp_path)
    assert not (prefix / "left-over").exists()
    assert fake_python.read_text().count("build") == 2


def test_a_half_built_environment_is_not_used(tmp_path, published):
    prefix = environment_folder(published, tmp_path)
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / "python").touch()
    with pytest.raises(InputError, match="has not been built, or not completely; run 'stereozero prepare'"):
        find(published, tmp_path, tmp_path / "repository")


def test_two_processes_build_one_environment_once(tmp_path, fake_python):
    code = (
        "import sys; from pathlib import Path; from stereozero.baselines.external import build_environment\n"
        "from stereozero.baselines.declaration import *\n"
        "recipe = EnvironmentRecipe('9.9', ())\n"
        "build_environment(Declaration('painter', '', '', environment=recipe), Path(sys.argv[1]))"
    )
    started = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(2)]
    assert [process.wait(60) for process in started] == [0, 0]
    assert fake_python.read_text().count("build") == 1


def test_another_recipe_is_another_environment(tmp_path):
    other = replace(DECLARATION, environment=EnvironmentRecipe("9.9", ("numpy==1.0",)))
    assert environment_folder(DECLARATION, tmp_path) != environment_folder(other, tmp_path)


def test_without_the_right_python_the_error_names_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(InputError, match=r"needs Python 9\.9.*conda.*'environment' in the config"):
        build_environment(DECLARATION, tmp_path)


def test_weights_are_checked(tmp_path, published):
    weights = tmp_path / "repository" / "weights.pth"
    prefix = Path(sys.prefix)
    missing = replace(published, weights=(WeightFile("weights.pth", "https://example.invalid/w", "0" * 64),))
    with pytest.raises(InputError, match=r"weights.pth are missing.*example.invalid/w"):
        find(missing, tmp_path, weights.parent, prefix)
    weights.write_text("something")
    with pytest.raises(InputError, match="is not the file that was published"):
        find(missing, tmp_path, weights.parent, prefix)
    right = replace(published, weights=(WeightFile("weights.pth", "https://x", sha256_of(weights)),))
    assert find(right, tmp_path, weights.parent, prefix)


@pytest.fixture
def with_weights(tmp_path, published):
    """Return the program with weights, and where they are asked for; the server takes a moment for each answer."""
    content, requests = b"weights" * 100_000, []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            time.sleep(0.5)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, text, *values):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/model.pth"
        weights = WeightFile("weights/model.pth", address, hashlib.sha256(content).hexdigest())
        yield replace(published, weights=(weights,)), requests
        server.shutdown()


def test_two_processes_fetch_weights_once(tmp_path, with_weights):
    declaration, requests = with_weights
    code = (
        "import sys; from pathlib import Path; from stereozero.baselines.external import install\n"
        "from stereozero.baselines.declaration import *\n"
        f"install({declaration!r}, Path(sys.argv[1]), environment=Path(sys.prefix))"
    )
    folder = tmp_path / "programs"
    started = [subprocess.Popen([sys.executable, "-c", code, str(folder)]) for _ in range(2)]
    assert [process.wait(60) for process in started] == [0, 0]
    assert requests == ["/model.pth"]
    assert find(declaration, folder, environment=Path(sys.prefix))
    assert [path.name for path in (checkout_folder(declaration, folder) / "weights").iterdir()] == ["model.pth"]


def test_nothing_is_written_to_a_users_checkout(tmp_path, with_weights, caplog):
    declaration, requests = with_weights
    own = tmp_path / "repository"
    before = sorted(own.rglob("*"))
    install(declaration, tmp_path / "programs", checkout=own, environment=Path(sys.prefix))
    assert sorted(own.rglob("*")) == before
    assert not requests
    weights = declaration.weights[0]
    assert f"{own / weights.path} is missing: download it from {weights.address} and put it there" in caplog.text


def test_other_weights_than_the_adapters_are_refused(tmp_path, with_weights):
    declaration, _ = with_weights
    other = replace(declaration, weights=(replace(declaration.weights[0], sha256="0" * 64),))
    with pytest.raises(InputError, match=r"checksum mismatch: the adapter says 0{64}, .* or the adapter is wrong"):
        install(other, tmp_path / "programs", environment=Path(sys.prefix))


def test_a_failing_program_shows_its_last_words_and_keeps_its_log(tmp_path):
    failing = program(tmp_path / "code", {"run.py": "print('loading'); raise SystemExit('out of memory')"})
    with pytest.raises(
        StageError, match=r"stand-in: failed with status 1; its log .*program.log ends with:\n  loading\n  out of"
    ):
        failing.run(["run.py"], tmp_path / "program.log")
    assert "loading" in (tmp_path / "program.log").read_text()


def test_a_program_that_hangs_is_ended_with_its_children(tmp_path):
    child = f"import time; time.sleep(1); open({str(tmp_path / 'survived')!r}, 'w')"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    hanging = program(tmp_path / "code", {"run.py": code}, timeout_s=0.5)
    with pytest.raises(StageError, match=r"was ended after .* minutes; its log is .*'timeout_minutes'"):
        hanging.run(["run.py"], tmp_path / "program.log")
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run(["sleep", "9"], timeout=1.0, check=False)  # longer than the child would have needed
    assert not (tmp_path / "survived").exists()


def test_a_program_does_not_see_this_process_python_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    run_logged(["/usr/bin/env"], tmp_path, tmp_path / "log", None, "env")
    assert "PYTHONPATH" not in (tmp_path / "log").read_text()
