"""Whether a baseline's parts are on this machine. Light: it is asked whenever a plan is made.

A method whose weights or environment are missing is left out of a run and shown in the tables as not run, with the
reason that is found here; it must not keep the other methods from being compared.
"""

import importlib
import importlib.util
import shutil
import traceback
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from stereozero.baselines import stereodiffusion_declaration
from stereozero.baselines.declaration import Declaration
from stereozero.baselines.external import Program, find
from stereozero.errors import InputError

PROGRAMS = ("propainter", "immersepro", "rodynrf")
"""Adapters of other people's programs in this folder."""

_ADVICE = "for Stable Diffusion 1.4: 'hf download CompVis/stable-diffusion-v1-4 --local-dir FOLDER'"


def image_model_problem(folder: Path, encoders: Path | None) -> str | None:
    """Return why an image model can't be read, or None if it seems to be there."""
    own = ["unet/config.json", "scheduler/scheduler_config.json"]
    parts = ["vae/config.json", *(["conditioner/config.json"] if encoders else ["text_encoder/config.json"])]
    wanted = [folder / name for name in own] + [(encoders or folder) / name for name in parts]
    missing = next((path for path in wanted if not path.is_file()), None)
    if missing is None:
        return None
    return f"stereodiffusion: there is no {missing}; name a model in diffusers' layout as 'model' ({_ADVICE})"


def adapter_of(name: str) -> ModuleType:
    """Return the module of an external method: one of ``PROGRAMS``, or a Python file of the user's.

    Raises:
        InputError: there is no such adapter, or the file can't be imported, lacks ``DECLARATION`` or ``convert``, or
            declares a program without its environment.
    """
    if name in PROGRAMS:
        return importlib.import_module(f"stereozero.baselines.{name}")
    path = Path(name)
    if path.suffix != ".py" or not path.is_file():
        known = ", ".join(PROGRAMS)
        raise InputError(f"there is no adapter '{name}'; name one of {known}, or a Python file that exists")
    module = _imported(path)
    missing = [part for part in ("DECLARATION", "convert") if not hasattr(module, part)]
    if missing:
        raise InputError(f"{path}: an adapter needs {' and '.join(missing)}; see docs/adding-a-baseline.md")
    _check_declaration(path, module.DECLARATION)
    return module


def _imported(path: Path) -> ModuleType:
    """Return a user's file as a module; whatever goes wrong in it is the user's to mend, so all of it is told alike."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        line = _line_of(error, path.resolve())
        raise InputError(f"{path}, line {line}: can't be imported: {type(error).__name__}: {error}") from error
    return module


def _line_of(error: Exception, path: Path) -> int | None:
    """Return the line of a file that an error comes from, the innermost if there are several."""
    if isinstance(error, SyntaxError) and Path(error.filename or "").resolve() == path:
        return error.lineno
    frames = traceback.extract_tb(error.__traceback__)
    return next((frame.lineno for frame in reversed(frames) if Path(frame.filename).resolve() == path), None)


def _check_declaration(path: Path, declaration: Any) -> None:
    if not isinstance(declaration, Declaration):
        raise InputError(
            f"{path}: DECLARATION is of type {type(declaration).__name__}; make it a Declaration, as in "
            "docs/adding-a-baseline.md"
        )
    if declaration.source and not declaration.environment:
        raise InputError(
            f"{path}: DECLARATION has a source, but no environment for that program to run in; add "
            "environment=EnvironmentRecipe(python=..., packages=(...))"
        )


def program_of(declaration: Declaration, folder: Path, method: Any, *, verify: bool = True) -> Program:
    """Return the program that a method of the kind ``external`` runs; its weights are verified unless told otherwise.

    Raises:
        InputError: it is not ready; says what to do.
    """
    own = [Path(path) if path else None for path in (method.checkout, method.environment)]
    return find(declaration, folder, *own, method.timeout_minutes, verify=verify)


def options_of(module: ModuleType, given: dict[str, Any]) -> Any:
    """Return an adapter's settings from the configuration's values; None if it has none.

    Raises:
        InputError: a name that the adapter does not know, or a value it refuses.
    """
    kind = getattr(module, "Settings", None)
    known = [field.name for field in fields(kind)] if is_dataclass(kind) else []
    unknown = sorted(given.keys() - set(known))
    if unknown:
        raise InputError(f"settings: unknown {', '.join(unknown)}; known: {', '.join(known) or 'none'}")
    return kind(**given) if known else None


def mistake(method: Any) -> str | None:
    """Return what is wrong with an external method's name or settings, or None."""
    try:
        options_of(adapter_of(method.name), method.settings)
    except (InputError, TypeError) as error:
        return str(error)
    return None


def declaration_of(method: Any) -> Declaration | None:
    """Return the declaration of a method of others; None for the kinds that are this package's own."""
    match method.kind:
        case "stereodiffusion":
            return stereodiffusion_declaration.DECLARATION
        case "external":
            return adapter_of(method.name).DECLARATION
        case _:
            return None


def obstacle(method: Any, programs: Path, device: str) -> str | None:
    """Return why a method can't run on this machine as it is, or None; a mistake is no obstacle.

    Args:
        method: a method's settings, of any kind.
        programs: the folder with programs of others.
        device: the config's: "auto", "cpu" or "cuda".
    """
    if method.kind == "stereodiffusion":
        return image_model_problem(Path(method.model), Path(method.encoders) if method.encoders else None)
    if method.kind != "external" or mistake(method):
        return None
    declaration = adapter_of(method.name).DECLARATION
    if declaration.needs_cuda and not _may_have_cuda(device):
        return f"{declaration.name}: runs on a CUDA device only; set 'device' to auto or cuda on a machine that has one"
    try:
        if declaration.source:
            program_of(declaration, programs, method, verify=False)
    except InputError as error:
        return str(error)
    return None


def _may_have_cuda(device: str) -> bool:
    """False if none of the run's jobs can have a CUDA device; those of a cluster may, wherever the plan is made.

    What a process sees is not asked: jobs that need no GPU are shown none, and all of a run's must agree.
    """
    return device == "cuda" or (device == "auto" and bool(shutil.which("nvidia-smi") or shutil.which("sbatch")))
