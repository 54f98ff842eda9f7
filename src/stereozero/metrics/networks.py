"""Networks that metrics run: which files they are read from, and reading them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stereozero.config.scoring import ClipScoring, Met3rScoring, Scoring

_MEMORY_AND_SPEED = {"batch"}
_PATHS = {"checkpoint", "folder", "hub", "geometry_checkpoint", "feature_checkpoint", "featup_checkpoint"}


def network_settings(settings: ClipScoring | Met3rScoring) -> dict[str, Any]:
    """Return what of a network's settings changes its scores, as JSON values.

    Local files and folders count by content, as a stage's inputs, and not by name.
    """
    values = settings.model_dump(mode="json", exclude=_MEMORY_AND_SPEED)
    local = {name for name in _PATHS & values.keys() if name != "hub" or Path(settings.hub).is_dir()}
    return {name: value for name, value in values.items() if name not in local}


def network_files(settings: ClipScoring | Met3rScoring) -> dict[str, Path]:
    """Return name -> local file of everything that a network is read from; fetched models are not among them."""
    files: dict[str, Path] = {}
    for name in sorted(_PATHS & set(type(settings).model_fields)):
        value = getattr(settings, name)
        if value is None:
            continue
        path = Path(value)
        if path.is_dir():
            files |= {f"{name}/{file.relative_to(path).as_posix()}": file for file in _model_files(path)}
        elif name != "hub":
            files[name] = path
    return files


def missing_files(scoring: Scoring) -> Iterator[str]:
    """Yield one line for each file or folder that the config names for a metric's network and that is not there."""
    for network in type(scoring).model_fields:
        settings = getattr(scoring, network)
        for key in sorted(_PATHS & set(type(settings).model_fields)) if settings else ():
            value = getattr(settings, key)
            if value is None or Path(value).exists() or (key == "hub" and ":" in value):
                continue
            help_ = "a repository on GitHub is named owner/name:commit; " if key == "hub" else ""
            yield f"scoring.{network}.{key}: there is no {value}; {help_}docs/scoring.md says where it is published"


def _model_files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.suffix in (".json", ".py", ".safetensors")]


def load_network(settings: ClipScoring | Met3rScoring, device: str) -> Any:
    """Load a metric's network.

    Args:
        settings: from the config's section `scoring`, with the paths of fetched files filled in.
        device: where it computes.

    Raises:
        InputError: a file is missing, damaged, or of another network.
    """
    if isinstance(settings, Met3rScoring):
        from stereozero.metrics.met3r.loading import load_met3r

        return load_met3r(settings, device)
    from stereozero.metrics.clip_encoder import ClipEncoder

    if settings.folder is not None:
        return ClipEncoder.saved(Path(settings.folder), device=device, batch=settings.batch)
    return ClipEncoder.openai(Path(settings.checkpoint), device=device, batch=settings.batch)
