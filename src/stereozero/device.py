"""Which device a stage computes on, and what to do where its memory is too small."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from stereozero.errors import InputError, StageError


def resolve_device(wanted: str) -> str:
    """Return ``cpu`` or ``cuda`` for the config's ``device``; ``auto`` takes CUDA where there is any.

    Raises:
        InputError: CUDA is asked for and there is none.
    """
    import torch

    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise InputError(
            "device: cuda is asked for, but torch finds no CUDA device here; "
            "set device to 'auto' or 'cpu', or check the driver with nvidia-smi"
        )
    return "cuda" if available and wanted in ("auto", "cuda") else "cpu"


def fix_cpu_threads() -> None:
    """Have torch use one thread from now on, whatever the number of cores; for networks on the CPU.

    How its kernels share out sums depends on the number of threads: 1 and 2 threads differ by 6e-5 after three steps of
    a tiny model (measured), enough to turn single pixels by one level. And of two threads each waits for the other at
    every small operation, so that anything else on the cores makes them many times slower. Cores are used by running
    several batches side by side.
    """
    import torch

    torch.set_num_threads(1)


@contextmanager
def explaining_lack_of_memory(remedy: Callable[[str], str]) -> Iterator[None]:
    """Turn an allocation that failed inside the block into a message that says what takes less.

    Args:
        remedy: "the GPU" or "this machine" -> what to do if its memory ran out.

    Raises:
        StageError: memory of the device or the host ran out.
    """
    import torch

    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        raise StageError(_memory_message("the GPU", remedy, error)) from error
    except MemoryError as error:
        raise StageError(_memory_message("this machine", remedy, error)) from error
    except RuntimeError as error:
        if "can't allocate memory" not in str(error):  # torch has no class of its own for the host's memory
            raise
        raise StageError(_memory_message("this machine", remedy, error)) from error


def _memory_message(where: str, remedy: Callable[[str], str], error: Exception) -> str:
    reason = str(error).strip().partition("\n")[0] or type(error).__name__
    return f"not enough memory on {where} ({reason}); {remedy(where)}"
