"""What a result was made with: versions, machine, memory. Information for a reader, never part of a cache key."""

import functools
import importlib.metadata
import platform
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

_LIBRARIES = ("numpy", "torch", "opencv-python-headless", "scikit-image", "scipy", "pillow", "imageio-ffmpeg")


def environment() -> dict[str, Any]:
    """Return code and library versions, host, device and the process's peak memory, as JSON values."""
    return {
        "code": code_version(),
        "libraries": _library_versions(),
        **_machine(),
        "peak_memory_mb": peak_memory_mb(),
    }


@functools.cache
def code_version() -> str:
    """Return the package version, with the git commit where it runs from a checkout (``+dirty`` if edited)."""
    version = importlib.metadata.version("stereozero")
    described = _git("describe", "--always", "--dirty=+dirty", "--exclude=*")
    return f"{version} ({described})" if described else version


def peak_memory_mb() -> dict[str, float]:
    """Return the peak resident memory of this process and, where CUDA is in use, of the device, in MiB."""
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage counts bytes on macOS, KiB on Linux
    peak = {"host": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20, 1)}
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        peak["cuda"] = round(torch.cuda.max_memory_allocated() / 2**20, 1)
    return peak


@functools.cache
def _library_versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in _LIBRARIES}


@functools.cache
def _machine() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "host": platform.node(),
        "machine": platform.machine(),
        "device": _device(),
    }


def _device() -> str:
    """Name the accelerator if this process already uses one; asking must not cost a torch import."""
    torch = sys.modules.get("torch")
    return torch.cuda.get_device_name() if torch is not None and torch.cuda.is_available() else "cpu"


def _git(*arguments: str) -> str | None:
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
