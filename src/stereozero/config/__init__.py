"""The run's configuration: typed, validated, every error with the key it stands at.

``config.yaml`` (or any file given with ``--configfile``) is parsed into :class:`Config`. Unknown keys, references to
variants that don't exist and values out of range are refused, all of them in one message, before any job starts.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from stereozero.config.checks import contradictions
from stereozero.config.run import Config
from stereozero.errors import InputError
from stereozero.wording import describe

__all__ = ["Config", "parse_config", "read_yaml"]


def read_yaml(path: Path) -> Mapping[str, Any]:
    """Read a YAML configuration file without validating it.

    Raises:
        InputError: the file is missing or does not hold keys and values.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: can't be read ({error.strerror}); give an existing YAML file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(content, Mapping):
        raise InputError(f"{path}: must hold keys and values (like 'run: demo'), found {type(content).__name__}")
    return content


def parse_config(content: Mapping[str, Any], where: str) -> Config:
    """Validate configuration values.

    Args:
        content: as read from YAML.
        where: what to call the source in messages.

    Raises:
        InputError: lists every problem with its key.
    """
    try:
        config = Config.model_validate(content)
    except ValidationError as error:
        raise InputError(_listing(where, describe(error, Config))) from error
    problems = list(contradictions(config))
    if problems:
        raise InputError(_listing(where, problems))
    return config


def _listing(where: str, problems: list[str]) -> str:
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return f"{where}: {count}" + "".join(f"\n  {problem}" for problem in problems)
