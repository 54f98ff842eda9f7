"""Wording of what is wrong with something a user wrote: for people, with what they probably meant."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from types import NoneType
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

_KEY_ITSELF = "[key]"
"""What pydantic puts behind a key that is wrong itself."""


def suggest(word: str, known: Iterable[str]) -> str:
    """Return '; did you mean ...?' or the list of what is known, to be put behind a message."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; known: {', '.join(names)}" if names else "; none is defined"


def describe(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """Return one line for each problem pydantic found: key, what is wrong, what would be right."""
    return [_line(problem, model) for problem in error.errors()]


def _line(problem: Mapping[str, Any], model: type[BaseModel]) -> str:
    levels = list(_levels(problem["loc"], model))
    key = ".".join(part for part, _ in levels if part != _KEY_ITSELF) or "(top level)"
    if problem["type"] == "extra_forbidden":
        unknown, section = levels[-1]
        return f"{key}: unknown key{suggest(unknown, section.model_fields)}"
    return f"{key}: {_reason(problem)}"


def _reason(problem: Mapping[str, Any]) -> str:
    given = problem["input"]
    match problem["type"]:
        case "missing":
            return "is missing"
        case "union_tag_not_found":
            return f"needs the key {problem['ctx']['discriminator']}"
        case "union_tag_invalid":
            tags = [tag.strip().strip("'") for tag in problem["ctx"]["expected_tags"].split(",")]
            tag, key = problem["ctx"]["tag"], problem["ctx"]["discriminator"].strip("'")
            return f"unknown {key} '{tag}'{suggest(tag, tags)}"
        case "string_pattern_mismatch":
            return (
                f"{given!r} is not a name: letters, digits, '-' and '_' only, at most 64, not beginning with '-' or '_'"
            )
        case "literal_error":
            close = difflib.get_close_matches(str(given), re.findall(r"'([^']*)'", problem["ctx"]["expected"]), n=1)
            hint = f"; did you mean '{close[0]}'?" if close else ""
            return f"input should be {problem['ctx']['expected']}, found {given!r}{hint}"
        case "value_error":
            return str(problem["ctx"]["error"])
        case _:
            message = problem["msg"][0].lower() + problem["msg"][1:]
            return f"{message}, found {given!r}"


def _levels(location: tuple[int | str, ...], model: type[BaseModel]) -> Iterator[tuple[str, Any]]:
    """Yield each key of a location with the type of what it is a key of; None where that can't be told.

    Pydantic adds the tag of a tagged union as a level of its own, which is left out.
    """
    within: Any = model
    for part in location:
        if option := _tagged_option(within, part):
            within = option
        else:
            yield str(part), within
            within = _type_under(part, within)


def _tagged_option(annotation: Any, tag: int | str) -> type[BaseModel] | None:
    """Return the option of a tagged union that has a tag; None if there is none, or the annotation is no such union."""
    union, *metadata = get_args(annotation) or [annotation]
    key = next((item.discriminator for item in metadata if isinstance(item, FieldInfo)), None)
    if key is None:
        return None
    return next((option for option in get_args(union) if tag in get_args(option.model_fields[key].annotation)), None)


def _type_under(key: int | str, within: Any) -> Any:
    """Return the type of what a section or a mapping has under a key; None where that can't be told."""
    if get_origin(within) is dict:
        return get_args(within)[1]
    field = getattr(within, "model_fields", {}).get(key)
    return _unless_empty(field.annotation) if field else None


def _unless_empty(annotation: Any) -> Any:
    """Return X for ``X | None``."""
    options = get_args(annotation)
    return options[0] if options[1:] == (NoneType,) else annotation
