"""Programs of others: their code at a pinned commit, an environment of their own, and how they are run.

Everything lies in one folder that all runs share::

    <name>-<commit>/               the checkout, with its weights
    environments/<name>-<digest>/  the environment, named by its recipe; ``.complete`` in it when it is

:func:`install` needs a network and is called on request only; :func:`find` looks for what is there and says what is
missing. Both leave a user's own checkout and environment as they are.
"""

import fcntl
import logging
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from stereozero.artifacts import copy_file, sha256_of
from stereozero.baselines.declaration import Declaration, EnvironmentRecipe, WeightFile
from stereozero.download import fetch
from stereozero.errors import InputError, StageError

log = logging.getLogger(__name__)

_COMPLETE = ".complete"
_CONDA = ("micromamba", "mamba", "conda")
_LAST_LINES = 8


@dataclass(frozen=True)
class Program:
    """A program that can be run.

    Attributes:
        name: the baseline's.
        checkout: folder with its code.
        python: interpreter of its environment.
        timeout_s: for one call of it.
    """

    name: str
    checkout: Path
    python: Path
    timeout_s: float

    def run(self, arguments: Sequence[str], log_file: Path) -> None:
        """Run one of the checkout's scripts in the checkout's folder; what it prints is added to the log.

        Args:
            arguments: the script's path in the checkout, then its arguments.
            log_file: kept whatever happens.

        Raises:
            StageError: it could not be started, took too long, or ended with another status than 0.
        """
        run_logged([str(self.python), *arguments], self.checkout, log_file, self.timeout_s, self.name)


def checkout_folder(declaration: Declaration, folder: Path) -> Path:
    """Return where a program's checkout lies."""
    return folder / f"{declaration.name}-{declaration.source.commit[:12]}"


def environment_folder(declaration: Declaration, folder: Path) -> Path:
    """Return where a program's environment lies."""
    return folder / "environments" / f"{declaration.name}-{declaration.environment.digest}"


def find(
    declaration: Declaration,
    folder: Path,
    checkout: Path | None = None,
    environment: Path | None = None,
    timeout_minutes: float | None = None,
    *,
    verify: bool = True,
) -> Program:
    """Return a program that is ready to run.

    Args:
        declaration: the baseline's.
        folder: where checkouts and environments lie.
        checkout: a checkout of the user's own, instead of the one in ``folder``.
        environment: likewise an environment (the folder with ``bin/python`` in it).
        timeout_minutes: for one call; None for the declaration's.
        verify: compare the weights with their checksums; False only looks whether they are there.

    Raises:
        InputError: something is missing or is not what the adapter was written for; says what to do.
    """
    code = checkout or checkout_folder(declaration, folder)
    _check_checkout(declaration, code)
    python = _python_of(declaration, folder, environment)
    for weights in declaration.weights:
        _check_weights(declaration, code / weights.path, weights, verify)
    minutes = declaration.timeout_minutes if timeout_minutes is None else timeout_minutes
    return Program(declaration.name, code.resolve(), python, 60 * minutes)


def install(
    declaration: Declaration, folder: Path, checkout: Path | None = None, environment: Path | None = None
) -> None:
    """Make what :func:`find` finds: clone, build, fetch. Safe to be called by several processes, and again.

    Args:
        declaration: the baseline's.
        folder: where checkouts and environments lie.
        checkout, environment: the user's own; such a one is neither made nor written to. Weights that are missing in
            the checkout are named in the log.

    Raises:
        InputError: there is no network, or no Python of the right version.
        StageError: the environment could not be built; the next call starts it anew.
    """
    log.warning("%s: %s", declaration.name, declaration.licence)
    if checkout is None:
        clone(declaration, folder)
    if environment is None:
        build_environment(declaration, folder)
    for weights in declaration.weights:
        if checkout is None:
            _fetch_weights(checkout_folder(declaration, folder), weights, folder)
        else:
            _name_if_missing(checkout / weights.path, weights)


# Checkout


def clone(declaration: Declaration, folder: Path) -> Path:
    """Return the checkout at the pinned commit; it is cloned if it is not there.

    Raises:
        InputError: it can't be cloned, or has no such commit.
    """
    final = checkout_folder(declaration, folder)
    with locked(final):
        if not final.is_dir():
            unfinished = final.with_name(f".{final.name}.unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            _clone_to(declaration, unfinished, final)
            unfinished.rename(final)
    return final


def _clone_to(declaration: Declaration, target: Path, final: Path) -> None:
    source = declaration.source
    try:
        _git(["clone", "--quiet", "--no-checkout", source.repository, str(target)])
        _git(["-C", str(target), "checkout", "--quiet", "--detach", source.commit])
        if source.submodules:
            _git(["-C", str(target), "submodule", "update", "--quiet", "--init", "--recursive"])
    except InputError as error:
        raise InputError(f"{_clone_advice(declaration, final)} ({error})") from error


def _clone_advice(declaration: Declaration, final: Path) -> str:
    source = declaration.source
    submodules = f" && git -C {final} submodule update --init --recursive" if source.submodules else ""
    by_hand = f"git clone {source.repository} {final} && git -C {final} checkout {source.commit}{submodules}"
    return (
        f"{declaration.name}: its code is not on this machine. Where there is a network, run 'stereozero prepare' with "
        f"your config, or '{by_hand}', and bring the folder to {final}; or name your own checkout of that commit as "
        "'checkout' in the config"
    )


def _check_checkout(declaration: Declaration, checkout: Path) -> None:
    if not checkout.is_dir():
        raise InputError(_clone_advice(declaration, checkout))
    wanted = declaration.source.commit
    if not (checkout / ".git").exists():
        raise InputError(
            f"{declaration.name}: {checkout} is no git checkout, so it can't be said which commit it is; "
            f"clone {declaration.source.repository} and check out {wanted}"
        )
    found = _git(["-C", str(checkout), "rev-parse", "HEAD"])
    if found != wanted:
        raise InputError(
            f"{declaration.name}: {checkout} is at commit {found}; this adapter was written for {wanted}: "
            f"run 'git -C {checkout} checkout {wanted}'"
        )


def _git(arguments: Sequence[str]) -> str:
    """Return what git prints; raises InputError with git's complaint."""
    environment = os.environ | {"GIT_TERMINAL_PROMPT": "0"}
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False, env=environment)
    except FileNotFoundError as error:
        raise InputError("git is not installed") from error
    if done.returncode:
        raise InputError(f"git said: {_last_lines(done.stderr, 2)}")
    return done.stdout.strip()


# Environment


def build_environment(declaration: Declaration, folder: Path) -> Path:
    """Return the environment's folder; it is built if it is not there, and anew if a build was not completed.

    Raises:
        InputError: there is neither conda nor a Python of the right version.
        StageError: the build failed; the message ends with the last lines of its log.
    """
    prefix = environment_folder(declaration, folder)
    with locked(prefix):
        if not (prefix / _COMPLETE).is_file():
            shutil.rmtree(prefix, ignore_errors=True)
            _build(declaration, prefix)
            (prefix / _COMPLETE).touch()
    return prefix


def _build(declaration: Declaration, prefix: Path) -> None:
    recipe, log_file = declaration.environment, prefix.with_name(f"{prefix.name}.log")
    log.info("%s: building its environment in %s; the log is %s", declaration.name, prefix, log_file)
    log_file.unlink(missing_ok=True)
    what = f"{declaration.name}: its environment"
    run_logged(_creation(declaration.name, recipe, prefix), prefix.parent, log_file, None, what)
    if recipe.packages:
        python = str(prefix / "bin" / "python")
        run_logged([python, "-m", "pip", "install", *recipe.packages], prefix.parent, log_file, None, what)


def _creation(name: str, recipe: EnvironmentRecipe, prefix: Path) -> list[str]:
    """Return the command that makes an environment with nothing but Python and pip in it."""
    python = shutil.which(f"python{recipe.python}")
    if python:
        return [python, "-m", "venv", str(prefix)]
    conda = next(filter(None, map(shutil.which, _CONDA)), None)
    if conda:
        return [conda, "create", "--yes", "--prefix", str(prefix), f"python={recipe.python}", "pip"]
    raise InputError(
        f"{name}: needs Python {recipe.python}, and there is neither python{recipe.python} nor one of "
        f"{', '.join(_CONDA)}; install one of them, or name your own environment as 'environment' in the config"
    )


def _python_of(declaration: Declaration, folder: Path, environment: Path | None) -> Path:
    prefix = environment or environment_folder(declaration, folder)
    python = prefix / "bin" / "python"
    if environment is None and not (prefix / _COMPLETE).is_file():
        raise InputError(
            f"{declaration.name}: its environment {prefix} has not been built, or not completely; "
            f"run 'stereozero prepare' with your config where there is a network, or name your own as 'environment'"
        )
    if not python.is_file():
        raise InputError(f"{declaration.name}: {prefix} is not an environment: there is no {python}")
    return python.absolute()  # not resolved: an environment's python is a link, and knows itself by the link's place


# Weights


def _check_weights(declaration: Declaration, path: Path, weights: WeightFile, verify: bool) -> None:
    if not path.is_file():
        raise InputError(f"{declaration.name}: its weights {path} are missing; they are published at {weights.address}")
    if verify and weights.sha256 and sha256_of(path) != weights.sha256:
        raise InputError(
            f"{declaration.name}: {path} is not the file that was published at {weights.address}: its SHA-256 is "
            f"{sha256_of(path)}, not {weights.sha256}; delete it and fetch it again"
        )


def _fetch_weights(checkout: Path, weights: WeightFile, folder: Path) -> None:
    path = checkout / weights.path
    if weights.sha256 is None:
        _name_if_missing(path, weights)
        return
    with locked(checkout):
        if not path.is_file():
            copy_file(fetch(weights.address, weights.sha256, folder / "downloads", "the adapter"), path)


def _name_if_missing(path: Path, weights: WeightFile) -> None:
    """Say which file is to be put in place by hand: no checksum is known for it, or the checkout is the user's own."""
    if not path.is_file():
        log.warning("%s is missing: download it from %s and put it there", path, weights.address)


# Processes


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one process at a time into the block, whatever happens to the others; the lock is ``<path>.lock``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{path.name}.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def run_logged(command: Sequence[str], folder: Path, log_file: Path, timeout_s: float | None, name: str) -> None:
    """Run a command with its output added to a file, and with none of this process's Python settings.

    Args:
        command: program and arguments.
        folder: where it runs.
        log_file: what it prints is added to it.
        timeout_s: after this time it is ended, with all that it started; None for no limit.
        name: for messages.

    Raises:
        StageError: it could not be started, took too long, or ended with another status than 0.
    """
    log_file.parent.mkdir(parents=True, exist_ok=True)
    with log_file.open("a", encoding="utf-8") as stream:
        stream.write(f"$ {' '.join(command)}\n")
        stream.flush()
        start = stream.tell()
        status = _status_of(command, folder, stream, timeout_s, name)
    if status:
        printed = log_file.read_bytes()[start:].decode(errors="replace")
        raise StageError(f"{name}: failed with status {status}; its log {log_file} ends with:\n{_last_lines(printed)}")


def _status_of(command: Sequence[str], folder: Path, stream: IO[str], timeout_s: float | None, name: str) -> int:
    kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
    environment = kept | {"PYTHONNOUSERSITE": "1"}
    try:
        process = subprocess.Popen(
            command, cwd=folder, stdout=stream, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
    except OSError as error:
        raise StageError(f"{name}: {command[0]} can't be started: {error.strerror}") from error
    try:
        return process.wait(timeout_s)
    except subprocess.TimeoutExpired as error:
        raise StageError(
            f"{name}: was ended after {timeout_s / 60:g} minutes; its log is {stream.name}. "
            "Set 'timeout_minutes' of the method if it needs longer"
        ) from error
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _last_lines(printed: str, count: int = _LAST_LINES) -> str:
    lines = [line.rstrip() for line in printed.splitlines() if line.strip()]
    return "\n".join(f"  {line}" for line in lines[-count:]) if count > 2 else " | ".join(lines[-count:])
