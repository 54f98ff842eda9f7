"""Artefacts on disk: written atomically, described by a record, made again only when something they depend on changed.

An artefact is a folder ``<stage>/<variant>/<clip>/`` with one or more files and ``record.json``. The record holds the
recipe (all that determines the files), the files' checksums and, for information, how they came about (time, memory,
versions). A killed process leaves nothing under a final name; see :func:`build`.
"""

import functools
import glob
import hashlib
import json
import logging
import os
import re
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from stereozero import provenance
from stereozero.errors import StageError, StereoZeroError

log = logging.getLogger(__name__)

RECORD = "record.json"
_CHUNK = 1 << 20
_CANONICAL = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
_MAYBE_WHOLE = re.compile(r"\.0|e\+")  # how a whole number is written that is a float


@contextmanager
def atomic_path(final: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``final``; rename it to ``final`` when the block ends well.

    The temporary file lies in the same folder (so that the rename is atomic) and keeps the suffix (programs choose a
    format by it). It is flushed to disk before the rename and removed if the block raises; ``final`` is then as before.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    _sweep(final.parent, final.stem, final.suffix)
    temporary = final.parent / f".{final.stem}.{_process_tag()}{final.suffix}"
    try:
        yield temporary
        _flush(temporary)
        temporary.replace(final)
        _flush(final.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write ``content`` as indented JSON, atomically. NaN and infinities raise ValueError: they are not JSON."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def copy_file(source: Path, final: Path) -> None:
    """Copy a file's content, atomically."""
    with atomic_path(final) as temporary:
        shutil.copyfile(source, temporary)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def canonical_json(content: Any) -> str:
    """Return JSON text that is equal for equal content: sorted keys, and 1.0 written as 1."""
    text = _CANONICAL.encode(content)
    return _with_plain_numbers(text) if _MAYBE_WHOLE.search(text) else text


@functools.lru_cache(maxsize=4096)
def _with_plain_numbers(text: str) -> str:
    """A plan asks for the same settings again for every clip: convert them once."""
    return _CANONICAL.encode(_plain_numbers(json.loads(text)))


def _plain_numbers(content: Any) -> Any:
    if isinstance(content, float) and content.is_integer():
        return int(content)
    if isinstance(content, Mapping):
        return {key: _plain_numbers(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_plain_numbers(value) for value in content]
    return content


@dataclass(frozen=True)
class Recipe:
    """All that determines an artefact's bytes.

    Attributes:
        stage: the stage's name, e.g. ``depth``.
        version: the stage's own version number; raised whenever its code makes other bytes of the same input.
        parameters: every setting that was in force, as JSON values.
        inputs: name of each input -> SHA-256 of the file.
    """

    stage: str
    version: int
    parameters: Mapping[str, Any]
    inputs: Mapping[str, str]

    @property
    def key(self) -> str:
        """SHA-256 over the whole recipe: two artefacts with one key are the same artefact."""
        return hashlib.sha256(canonical_json(self.as_dict()).encode()).hexdigest()

    def as_dict(self) -> dict[str, Any]:
        """Return the recipe as JSON values."""
        return {
            "stage": self.stage,
            "version": self.version,
            "parameters": dict(self.parameters),
            "inputs": dict(self.inputs),
        }


@dataclass(frozen=True)
class Artifact:
    """One folder of files that are made together.

    Attributes:
        clip_id: the clip it belongs to, or a run-wide name such as ``tables``.
        folder: where it lies.
        files: the names of the files that must be in it.
        parameters: settings that determine it; part of the recipe.
        inputs: name -> path of every file it is made from.
    """

    clip_id: str
    folder: Path
    files: tuple[str, ...]
    parameters: Mapping[str, Any]
    inputs: Mapping[str, Path]

    def recipe(self, stage: str, version: int, restore: "Restore | None" = None) -> Recipe:
        """Return the recipe with the inputs' checksums as they are on disk now.

        Args:
            stage: the stage's name.
            version: the stage's version.
            restore: makes an input good that is missing or damaged; None for :func:`refuse`.

        Raises:
            StageError: an input is missing or damaged and can't be made good.
        """
        checksums = {name: _input_sha256(path, restore or refuse) for name, path in self.inputs.items()}
        return Recipe(stage, version, self.parameters, checksums)


Restore = Callable[[Path, str], None]
"""Makes a file good, given what is wrong with it, or raises StageError."""


def refuse(path: Path, problem: str) -> NoReturn:
    """Say that a stage can't go on without an input.

    Raises:
        StageError: always.
    """
    raise StageError(f"{path} {problem}; run 'stereozero verify --repair' on the run's folder and start again")


def _input_sha256(path: Path, restore: Restore) -> str:
    """Return a file's checksum; a file that is an artefact must be what its record says."""
    found, problem = _look_at(path)
    if problem:
        restore(path, problem)
        found, problem = _look_at(path)
    if problem:
        refuse(path, problem)
    return found


def _look_at(path: Path) -> tuple[str, str | None]:
    """Return a file's checksum, for a discarded one that of its record, and what is wrong with it, or None."""
    record = read_record(path.parent) or {"files": {}}
    expected = record["files"].get(path.name, {}).get("sha256")
    if not path.is_file():
        return expected or "", None if path.name in record.get("discarded", ()) else "is missing"
    found = _sha256_at(path, path.stat().st_mtime_ns, path.stat().st_size)
    return found, None if found == (expected or found) else "is not what its record says (truncated or edited)"


@functools.cache
def _sha256_at(path: Path, mtime_ns: int, size: int) -> str:
    """One job reads the same input for many artefacts: hash it once."""
    return sha256_of(path)


def read_record(folder: Path) -> dict[str, Any] | None:
    """Return a folder's record, or None if there is none that can be read."""
    try:
        return json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def damage(folder: Path) -> str | None:
    """Return what is wrong with the artefact in ``folder`` (no record, a file missing or changed), or None."""
    record = read_record(folder)
    if record is None:
        return "it has no readable record"
    for name, facts in record["files"].items():
        path = folder / name
        if not path.is_file():
            if name in record.get("discarded", ()):
                continue
            return f"{name} is missing"
        if path.stat().st_size != facts["bytes"] or sha256_of(path) != facts["sha256"]:
            return f"{name} is not what its record says (truncated or edited)"
    return None


def mark_discarded(folder: Path, names: Sequence[str]) -> int:
    """Delete some files of an artefact, and say so in its record first: without them it is still whole.

    Returns:
        The number of bytes freed.
    """
    record = read_record(folder)
    present = [folder / name for name in names if (folder / name).is_file()]
    if record is None or not present:
        return 0
    write_json(folder / RECORD, {**record, "discarded": sorted(names)})
    freed = sum(path.stat().st_size for path in present)
    for path in present:
        path.unlink()
    return freed


def unmark_discarded(folder: Path) -> None:
    """Have an artefact made again whose files were deleted: without them it is no longer whole."""
    record = read_record(folder)
    if record is not None and record.pop("discarded", None):
        write_json(folder / RECORD, record)


def is_current(artifact: Artifact, recipe: Recipe) -> bool:
    """True if the artefact is on disk, whole, and was made by this very recipe."""
    record = read_record(artifact.folder)
    if record is None or record.get("key") != recipe.key or set(record["files"]) != set(artifact.files):
        return False
    problem = damage(artifact.folder)
    if problem and all((artifact.folder / name).exists() for name in artifact.files):
        log.warning("%s: %s; making it again", artifact.folder, problem)
    return problem is None


@contextmanager
def build(artifact: Artifact, recipe: Recipe, notes: dict[str, Any]) -> Iterator[Path]:
    """Yield an empty folder to write the artefact's files into; publish them when the block ends well.

    The record is put in place first, the files after it: a file under its final name always has a record, and a
    record whose files did not all arrive is found out by their checksums. If the block raises, what was there stays.

    Args:
        artifact: what is made.
        recipe: its recipe.
        notes: facts to keep in the record that do not determine the bytes; may be filled inside the block.

    Raises:
        StageError: the block did not write every file of ``artifact.files``.
    """
    work = artifact.folder.parent / f".{artifact.folder.name}.{_process_tag()}"
    artifact.folder.parent.mkdir(parents=True, exist_ok=True)
    work.mkdir()
    started = time.monotonic()
    try:
        yield work
        missing = [name for name in artifact.files if not (work / name).is_file()]
        if missing:
            raise StageError(f"{recipe.stage}, clip '{artifact.clip_id}': the stage did not write {', '.join(missing)}")
        record = _record(artifact, recipe, work, notes, time.monotonic() - started)
        artifact.folder.mkdir(exist_ok=True)
        write_json(artifact.folder / RECORD, record)
        for name in artifact.files:
            _flush(work / name)
            (work / name).replace(artifact.folder / name)
        _flush(artifact.folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _record(artifact: Artifact, recipe: Recipe, work: Path, notes: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    files = {name: {"sha256": sha256_of(work / name), "bytes": (work / name).stat().st_size} for name in artifact.files}
    return {
        "key": recipe.key,
        "clip": artifact.clip_id,
        **recipe.as_dict(),
        "files": files,
        "notes": dict(notes),
        "made": {"seconds": round(seconds, 3), **provenance.environment()},
    }


def make_all(
    stage: str,
    version: int,
    artifacts: Sequence[Artifact],
    make: Callable[[Artifact, Path], Mapping[str, Any] | None],
    restore: Restore = refuse,
) -> None:
    """Make every artefact that is not current; one that fails does not keep the others from being made.

    Args:
        stage: the stage's name.
        version: the stage's version (see :class:`Recipe`).
        artifacts: what to make, in this order.
        make: writes one artefact's files into the folder it is given; returns notes for the record, or None.
        restore: makes an input good that is missing or damaged.

    Raises:
        StageError: at least one artefact failed; the message names each with its reason. The others are on disk.
    """
    failures: dict[str, str] = {}
    for number, artifact in enumerate(artifacts, 1):
        position = f"{stage} [{number}/{len(artifacts)}] {artifact.clip_id}"
        try:
            _make_one(position, artifact, artifact.recipe(stage, version, restore), make, restore)
        except StereoZeroError as error:
            failures[artifact.clip_id] = str(error)
            log.error("%s: FAILED: %s", position, error)
        except OSError as error:
            failures[artifact.clip_id] = system_message(error, artifact.folder)
            log.error("%s: FAILED: %s", position, failures[artifact.clip_id])
        except Exception as error:
            failures[artifact.clip_id] = f"unexpected {type(error).__name__}: {error}"
            log.exception("%s: FAILED unexpectedly (a defect of the program or of its input)", position)
    if failures:
        listing = "".join(f"\n  clip '{clip_id}': {reason}" for clip_id, reason in failures.items())
        raise StageError(f"{stage}: {len(failures)} of {len(artifacts)} clips failed, the others are kept:{listing}")


def _make_one(
    position: str,
    artifact: Artifact,
    recipe: Recipe,
    make: Callable[[Artifact, Path], Mapping[str, Any] | None],
    restore: Restore,
) -> None:
    _sweep(artifact.folder.parent, artifact.folder.name)
    if is_current(artifact, recipe):
        log.info("%s: present", position)
        return
    for path in artifact.inputs.values():
        if not path.is_file():
            restore(path, "was deleted after its last use")
    started = time.monotonic()
    notes: dict[str, Any] = {}
    with build(artifact, recipe, notes) as work:
        notes.update(make(artifact, work) or {})
    log.info("%s: made in %.1f s", position, time.monotonic() - started)


def system_message(error: OSError, writing: Path | None = None) -> str:
    """Return what a person can do with an error of the operating system: disk full, no permission, ..."""
    where = error.filename or writing
    at = f" ({where})" if where else ""
    return f"the operating system said: {error.strerror or error}{at}; check disk space and permissions, then run again"


def _process_tag() -> str:
    return f"partial-{socket.gethostname()}-{os.getpid()}"


def _sweep(folder: Path, name: str, suffix: str = "") -> None:
    """Remove what killed processes of this machine left of ``name`` in ``folder``; what live ones write is let be."""
    prefix = f".{name}.partial-{socket.gethostname()}-"
    for left in folder.glob(f"{glob.escape(prefix)}*{suffix}"):
        tag = left.name.removeprefix(prefix).removesuffix(suffix)
        if tag.isdigit() and not _is_alive(int(tag)):
            shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid != os.getpid()


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
