"""Faults other than kill -9, each tried on a run of its own; see faults.py.

An experiment takes the run's configuration, an empty folder and the checksums of the undisturbed run's results. It
returns what was observed; "identical" says that the results in the end were those of the undisturbed run. What must be
observed stands beside the experiment, in FAULTS.
"""

import http.server
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .running import checksums, finish, prepare, results_of, run_snakemake, snakemake_command, truncated

Observed = dict[str, object]
Experiment = Callable[[Path, Path, Mapping[str, str]], Observed]

_SPARE_BYTES = 200_000  # left for logs and Snakemake's own files, so that the failing job can say why it failed
_YEAR_S = 365 * 24 * 3600


class NotPossibleError(Exception):
    """This machine does not allow the experiment."""


def full_disk(config: Path, folder: Path, expected: Mapping[str, str]) -> Observed:
    """The disk is full half way, with Snakemake's own files on it; then there is room again."""
    with mounted(folder) as remount:
        own = prepare(config, folder)
        run_snakemake(own, "depth")
        used = sum(path.stat().st_blocks * 512 for path in folder.rglob("*"))
        remount(f"size={used + _SPARE_BYTES}")
        outcome = run_snakemake(own)
        half_written = sorted(truncated(results_of(own)))
        remount("size=1g")
        finish(own)
        return {
            "failed": outcome.status != 0,
            "said": "No space left on device" in outcome.text,
            "half_written": half_written,
            "identical": checksums(results_of(own)) == expected,
        }


def read_only(config: Path, folder: Path, expected: Mapping[str, str]) -> Observed:
    """The results folder can't be written to, from the middle of the run on; then it can again."""
    own = prepare(config, folder)
    with mounted(folder / "results") as remount:
        run_snakemake(own, "depth")
        before = checksums(results_of(own))
        remount("ro")
        outcome = run_snakemake(own)
        untouched = checksums(results_of(own)) == before
        remount("rw")
        finish(own)
        return {
            "failed": outcome.status != 0,
            "said": "can't write there (Read-only file system)" in outcome.text,
            "untouched": untouched,
            "identical": checksums(results_of(own)) == expected,
        }


def truncated_artefact(config: Path, folder: Path, expected: Mapping[str, str]) -> Observed:
    """A source view is cut off before it is read, and a target view after the run has ended."""
    own = prepare(config, folder)
    run_snakemake(own, "depth")
    _cut(min(results_of(own).glob("world/*/source.mkv")))
    first = run_snakemake(own)
    logs = "".join(path.read_text(errors="replace") for path in results_of(own).glob("logs/**/*.log"))
    same_at_once = checksums(results_of(own)) == expected
    cut = min(results_of(own).glob("targets/*/*/target.mkv"))
    _cut(cut)
    found = _stereozero("verify", str(results_of(own)))
    repaired = _stereozero("verify", "--repair", str(results_of(own)))
    finish(own)
    return {
        "recomputed_by_its_reader": first.status == 0 and same_at_once,
        "said_in_log": "is not what its record says (truncated or edited); making it again" in logs,
        "found_by_verify": found.returncode == 1 and cut.parent.name in found.stderr,
        "repaired": repaired.returncode == 0,
        "identical": checksums(results_of(own)) == expected,
    }


def two_runs(config: Path, folder: Path, expected: Mapping[str, str]) -> Observed:
    """A Snakemake process starts in a folder where another one works: the lock refuses it.

    Not at the same moment: Snakemake looks for locks before it sets its own, so on a busy machine both may pass.
    """
    own = prepare(config, folder)
    with subprocess.Popen(snakemake_command(own), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as first:
        _wait_for_file(own.parent / ".snakemake" / "locks", "*.lock", first)
        second = run_snakemake(own)
    finish(own)
    return {
        "first_failed": first.returncode != 0,
        "refused": second.status != 0,
        "said": "LockException" in second.text or "cannot be locked" in second.text,
        "identical": checksums(results_of(own)) == expected,
    }


def two_runs_without_lock(config: Path, folder: Path, expected: Mapping[str, str]) -> Observed:
    """The same with ``--nolock``, as on a file system without locks: both make the same artefacts."""
    own = prepare(config, folder)
    outcomes = _together([snakemake_command(own, "--nolock"), snakemake_command(own, "--nolock")])
    half_written = sorted(truncated(results_of(own)))
    finish(own)
    return {
        "failed": sum(status != 0 for status, _ in outcomes),
        "half_written": half_written,
        "identical": checksums(results_of(own)) == expected,
    }


def jumping_clock(config: Path, folder: Path, expected: Mapping[str, str]) -> Observed:
    """Files half way bear times from ten years ago to ten years ahead; the run goes on three days early, then in time.

    With the early clock Snakemake stops where an input is newer than what was just made of it, as a file of the
    repository may be, and names the clock.
    """
    early = _three_days_early()
    own = prepare(config, folder)
    run_snakemake(own, "depth")
    chance = random.Random(0)
    for path in sorted(results_of(own).rglob("*")):
        moment = time.time() + chance.uniform(-10, 10) * _YEAR_S
        os.utime(path, (moment, moment))
    outcome = run_snakemake(own, environment={**os.environ, **early})
    finish(own)
    again = run_snakemake(own)
    return {
        "finished_or_said": outcome.status == 0 or "clock skew" in outcome.text,
        "then_nothing_to_do": "Nothing to be done" in again.text,
        "identical": checksums(results_of(own)) == expected,
    }


def model_cache(config: Path, folder: Path, expected: Mapping[str, str]) -> Observed:
    """Two jobs fetch the same model into one cache at once; a third is killed while it does."""
    folder.mkdir(parents=True)
    content = random.Random(0).randbytes(4 << 20)
    with _hub(content) as address:
        environment = {**os.environ, "HF_ENDPOINT": address, "HF_HUB_DISABLE_XET": "1"}
        command = [sys.executable, "-c", _FETCH, str(folder / "cache")]
        victim = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _wait_for_file(folder / "cache", "*.incomplete", victim)
        victim.kill()
        victim.wait()
        outcomes = _together([command, command], environment)
    files = [path for path in (folder / "cache").rglob("model.safetensors") if path.is_file()]
    return {
        "failed": sum(status != 0 for status, _ in outcomes),
        "copies": len(files),
        "identical": [path.read_bytes() for path in files] == [content],
    }


@dataclass(frozen=True)
class Fault:
    """A fault that can be tried.

    Attributes:
        experiment: tries it.
        expected: what must be observed; of what else is observed nothing is asked.
    """

    experiment: Experiment
    expected: Observed


FAULTS = {
    "full-disk": Fault(full_disk, {"failed": True, "said": True, "half_written": [], "identical": True}),
    "read-only": Fault(read_only, {"failed": True, "said": True, "untouched": True, "identical": True}),
    "truncated": Fault(
        truncated_artefact,
        {
            "recomputed_by_its_reader": True,
            "said_in_log": True,
            "found_by_verify": True,
            "repaired": True,
            "identical": True,
        },
    ),
    "two-runs": Fault(two_runs, {"first_failed": False, "refused": True, "said": True, "identical": True}),
    # One may fail, when the other has just started a job anew whose marker it needs: nothing may come of that.
    "two-runs-without-lock": Fault(two_runs_without_lock, {"half_written": [], "identical": True}),
    "clock": Fault(jumping_clock, {"finished_or_said": True, "then_nothing_to_do": True, "identical": True}),
    "model-cache": Fault(model_cache, {"failed": 0, "copies": 1, "identical": True}),
}


def differences(observed: Observed, expected: Observed) -> Observed:
    """Return what was to be observed and was not: name -> what was expected."""
    return {name: value for name, value in expected.items() if name not in observed or observed[name] != value}


def _three_days_early() -> dict[str, str]:
    """Return the environment of a process whose clock is three days early; intervals are as long as they are."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    if library is None:
        raise NotPossibleError("libfaketime is not installed: apt-get install --no-install-recommends libfaketime")
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME": "-3d",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "PYTHONPATH": str(Path(__file__).parent / "early_clock"),
    }


@contextmanager
def mounted(folder: Path) -> Iterator[Callable[[str], None]]:
    """Mount a file system in memory on a new folder; yield a function that changes its mount options."""
    folder.mkdir(parents=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1g", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise NotPossibleError(f"mounting a small file system needs root and was refused: {done.stderr.strip()}")
    try:
        yield lambda options: subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _stereozero(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "stereozero", *arguments], capture_output=True, text=True, check=False)


def _together(commands: list[list[str]], environment: Mapping[str, str] | None = None) -> list[tuple[int, str]]:
    """Start all commands at once; return the exit status and output of each."""
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
        for command in commands
    ]
    texts = [process.communicate()[0] for process in running]
    return [(process.returncode, text) for process, text in zip(running, texts, strict=True)]


_FETCH = """
import sys
from pathlib import Path
from stereozero.published_models import ModelFile
from stereozero.weights import fetch
model = ModelFile("m", "someone/m", "model.safetensors", gigabytes=0.01, revision=None, sha256=None)
fetch(model, cache=Path(sys.argv[1]))
"""


@contextmanager
def _hub(content: bytes) -> Iterator[str]:
    """Serve one file as the Hugging Face hub does, slowly; yield the address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            start = self._answer()
            for offset in range(start, len(content), 1 << 18):
                self.wfile.write(content[offset : offset + (1 << 18)])
                time.sleep(0.1)

        def _answer(self) -> int:
            start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
            self.send_response(206 if start else 200)
            self.send_header("X-Repo-Commit", "0" * 40)
            self.send_header("ETag", '"0123456789abcdef"')
            self.send_header("Content-Length", str(len(content) - start))
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.end_headers()
            return start

        def log_message(self, *arguments: object) -> None:
            """Be quiet: the experiment's record is all there is to say."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def _wait_for_file(folder: Path, pattern: str, process: subprocess.Popen) -> None:
    """Wait until a running process has written to such a file, or has ended."""
    while process.poll() is None and not any(path.stat().st_size for path in folder.rglob(pattern)):
        time.sleep(0.02)
