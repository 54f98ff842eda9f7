"""Which device a stage computes on."""

from stereozero.errors import InputError


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
