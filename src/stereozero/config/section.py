"""What sections are made of: their base, and the kinds of values that several of them share."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


class Section(BaseModel):
    """A part of the configuration; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _not_zero(strength: float) -> float:
    if strength == 0:
        raise ValueError("0 asks for no stereo at all; use the method kind 'mono-copy' for that")
    return strength


Strength = Annotated[
    float,
    Field(ge=-100, le=100, description="largest shift in percent of image width; > 0: right target, < 0: left target"),
    AfterValidator(_not_zero),
]


def _without_braces(folder: str) -> str:
    if set(folder) & set("{}"):
        raise ValueError(f"{folder!r} has braces, which Snakemake takes for wildcards; choose another folder")
    return folder


FolderForRules = Annotated[str, AfterValidator(_without_braces)]
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
