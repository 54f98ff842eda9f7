"""What code a stage consists of, so that a change of it can be told from changes elsewhere.

A stage's code is its own module and every module of this package that it imports, at the top or inside a function, and
what those import. Left out are the modules that all stages share and that only say what is done, not how. Comments and
layout do not count.
"""

import ast
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path

_PACKAGE = __name__.partition(".")[0]
_FOLDER = Path(__file__).parent
_SHARED = {
    f"{_PACKAGE}{name}"
    for name in (
        "", ".artifacts", ".config", ".errors", ".manifest", ".paths", ".plan", ".provenance", ".stages",
        ".stages.stage", ".weights", ".wording",
    )
}  # fmt: skip
_SHARED_PACKAGE = f"{_PACKAGE}.config."


@functools.cache
def code_fingerprint(module: str) -> str:
    """Return a hash that changes whenever a module's code does, or that of what it imports from this package.

    Args:
        module: full name, e.g. ``stereozero.stages.baseline``.
    """
    digest = hashlib.sha256()
    for name in sorted(_with_imports(module)):
        digest.update(f"{name}\n{ast.dump(_tree(name))}\n".encode())
    return digest.hexdigest()[:16]


def _with_imports(module: str) -> set[str]:
    found, waiting = {module}, [module]
    while waiting:
        new = {name for name in _imports(waiting.pop()) if not _is_shared(name)} - found
        found |= new
        waiting += new
    return found


def _is_shared(module: str) -> bool:
    return module in _SHARED or module.startswith(_SHARED_PACKAGE)


@functools.cache
def _imports(module: str) -> tuple[str, ...]:
    """Return the names of this package's modules that a module imports."""
    return tuple(dict.fromkeys(_imported_by(_tree(module))))


def _imported_by(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if _is_module(alias.name))
    elif isinstance(node, ast.ImportFrom) and not node.level:
        names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        yield from (name for name in names if _is_module(name))
    for child in ast.iter_child_nodes(node):
        yield from _imported_by(child)


def _is_module(name: str) -> bool:
    return name.partition(".")[0] == _PACKAGE and _file(name).is_file()


def _file(module: str) -> Path:
    """Return a module's file; a package's is its ``__init__.py``."""
    path = _FOLDER.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@functools.cache
def _tree(module: str) -> ast.Module:
    return ast.parse(_file(module).read_text(encoding="utf-8"))
