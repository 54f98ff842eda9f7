"""What a baseline is: an adapter, which makes a target view, and a declaration, which says where the method comes from.

The contract is one for all of them: source video + disparity -> target video of the same size and length. An adapter is
a function from a :class:`Conversion` to frames; its declaration is what a reader of the tables has to know.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from stereozero.errors import InputError, StageError


@dataclass(frozen=True)
class Source:
    """Where a program's code is.

    Attributes:
        repository: address for ``git clone``.
        commit: full hash of the commit that the adapter was written for.
        submodules: True if the checkout needs its submodules.
    """

    repository: str
    commit: str
    submodules: bool = False


@dataclass(frozen=True)
class EnvironmentRecipe:
    """The Python environment a program runs in.

    Attributes:
        python: version, such as "3.10".
        packages: what pip installs, with exact versions.
    """

    python: str
    packages: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that change whenever the recipe does."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class WeightFile:
    """One file of weights.

    Attributes:
        path: where the program expects it, relative to its checkout.
        address: where it is published.
        sha256: its checksum; None where none could be found. Such a file is put in place by hand, never fetched.
    """

    path: str
    address: str
    sha256: str | None


@dataclass(frozen=True)
class Published:
    """Where the method's numbers were published.

    Attributes:
        table: file in ``benchmark/published`` without its suffix; empty if there are none.
        row: the method's name there.
        notes: how that protocol differs from this pipeline's.
    """

    table: str
    row: str
    notes: str


@dataclass(frozen=True)
class Declaration:
    """All that is to be known of a baseline before its numbers are read.

    Attributes:
        name: what configurations call it.
        paper: authors, title, venue, arXiv number.
        licence: of code and weights, in a sentence; shown before the first use.
        limits: what inputs it takes, and what the adapter does to others.
        source: its code; None if it is part of this repository or of the user's own file.
        environment: what its code needs; None if it runs in this process.
        weights: its weights.
        published: its published numbers, if any.
        timeout_minutes: for one clip, unless the configuration has its own.
        needs_cuda: True if the program can't run on a CPU.
    """

    name: str
    paper: str
    licence: str
    limits: str = ""
    source: Source | None = None
    environment: EnvironmentRecipe | None = None
    weights: tuple[WeightFile, ...] = ()
    published: Published | None = None
    timeout_minutes: float = 60
    needs_cuda: bool = False


@dataclass(frozen=True, eq=False)
class Conversion:
    """One clip to be converted.

    Attributes:
        source: (F, H, W, 3) uint8 RGB, the source view.
        fps: frames a second.
        disparity: (F, H, W) float32 in [0, 1], 1 is nearest.
        strength: the shift of disparity 1 in percent of the width; > 0: the target is the right view, < 0: the left.
        seed: of everything random.
        device: "cpu" or "cuda".
        work: an empty folder of this clip's own; it is removed afterwards.
        log: file for what a program prints; it is kept, also when the program fails.
    """

    source: np.ndarray
    fps: Fraction
    disparity: np.ndarray
    strength: float
    seed: int
    device: str
    work: Path
    log: Path


Adapter = Callable[[Conversion], np.ndarray]
"""Makes the target view, (F, H, W, 3) uint8 RGB, of a clip."""


def check_conversion(conversion: Conversion, declaration: Declaration) -> None:
    """Check that what goes in is a clip that the baseline can take.

    Raises:
        InputError: the disparity is of another size or length than the source, or the device is missing.
    """
    if conversion.disparity.shape != conversion.source.shape[:3]:
        raise InputError(
            f"{declaration.name}: the disparity has shape {conversion.disparity.shape}; "
            f"the source view asks for {conversion.source.shape[:3]}"
        )
    if declaration.needs_cuda and conversion.device != "cuda":
        raise InputError(f"{declaration.name}: runs on a CUDA device only, and there is none here")


def check_target(target: np.ndarray, conversion: Conversion, declaration: Declaration) -> np.ndarray:
    """Return a target view that keeps the contract.

    Raises:
        StageError: it has another length, size or type than the source view.
    """
    wanted = conversion.source.shape
    if not isinstance(target, np.ndarray) or target.dtype != np.uint8 or target.ndim != 4:
        found = f"{target.dtype} {target.shape}" if isinstance(target, np.ndarray) else type(target).__name__
        raise StageError(f"{declaration.name}: made {found}; it must be an array of uint8 {wanted}")
    if len(target) != wanted[0]:
        raise StageError(f"{declaration.name}: made {len(target)} frames of a clip with {wanted[0]}")
    if target.shape != wanted:
        raise StageError(f"{declaration.name}: made frames of {target.shape[1:]} from a clip with {wanted[1:]}")
    return target
