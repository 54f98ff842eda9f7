"""Which GPU a process sees: one that no other job of this user holds, or none if it needs none.

Jobs of one machine share its GPUs through locked files. A lock goes with its process, however that ends.
"""

import contextlib
import fcntl
import getpass
import logging
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from stereozero.errors import StageError

log = logging.getLogger(__name__)

VISIBLE = "CUDA_VISIBLE_DEVICES"
_PAUSE = 0.5
_PATIENCE = 24 * 3600


def device_ids(environment: Mapping[str, str] | None = None) -> list[str]:
    """Return the GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them; empty where there is none.

    They are those that the variable already names, else all that the driver lists.
    """
    environment = os.environ if environment is None else environment
    if VISIBLE in environment:
        return [name.strip() for name in environment[VISIBLE].split(",") if name.strip()]
    command = ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.split() if done.returncode == 0 else []


@contextmanager
def visible_gpu(is_needed: bool) -> Iterator[None]:
    """Let CUDA see inside the block the one GPU that is leased, or none if none is needed.

    Must be entered before CUDA is initialised. On a Slurm cluster, where a job has been given its GPU, and on a machine
    with one GPU nothing is leased.

    Args:
        is_needed: whether to lease a GPU.

    Raises:
        StageError: every GPU stayed in use for a day.
    """
    devices = device_ids() if is_needed else []
    if not is_needed:
        with _environment(""):
            yield
    elif len(devices) < 2 or "SLURM_JOB_ID" in os.environ:
        yield
    else:
        with lease(devices) as device, _environment(device):
            log.info("GPU %s", device)
            yield


@contextmanager
def lease(devices: Sequence[str], folder: Path | None = None, patience: float = _PATIENCE) -> Iterator[str]:
    """Hold one of some devices that no other process of this user holds; wait until there is one.

    Args:
        devices: their names.
        folder: where the lock files lie; default: a folder of the user's in the machine's temporary folder.
        patience: how long to wait [s].

    Raises:
        StageError: none was free for that long.
    """
    folder = folder or Path(tempfile.gettempdir()) / f"stereozero-gpus-{getpass.getuser()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    deadline = time.monotonic() + patience
    while (held := _take(devices, folder)) is None:
        if time.monotonic() >= deadline:
            raise StageError(
                f"each GPU ({', '.join(devices)}) is in use by another job of this machine; "
                "set the resource 'gpu' in profiles/workstation/config.yaml to the number of GPUs"
            )
        time.sleep(_PAUSE)
    device, handle = held
    try:
        yield device
    finally:
        os.close(handle)


def _take(devices: Sequence[str], folder: Path) -> tuple[str, int] | None:
    """Lock the first device that is free; return it with the open lock file."""
    for device in devices:
        # Programs that a stage starts must not hold the lock on after it.
        handle = os.open(folder / f"{device}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return device, handle
        os.close(handle)
    return None


@contextmanager
def _environment(devices: str) -> Iterator[None]:
    before = os.environ.get(VISIBLE)
    os.environ[VISIBLE] = devices
    try:
        yield
    finally:
        if before is None:
            del os.environ[VISIBLE]
        else:
            os.environ[VISIBLE] = before
