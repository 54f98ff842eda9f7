from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stereozero.wording import describe, suggest


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Circle(Part):
    shape: Literal["circle", "disc"]
    radius: int = 1


class Square(Part):
    shape: Literal["square"]
    side: int = 1


class Style(Part):
    colour: str = "red"


Name = Annotated[str, Field(pattern="^[a-z]+$")]
Shape = Annotated[Circle | Square, Field(discriminator="shape")]


class Drawing(Part):
    shapes: dict[Name, Shape] = {}
    style: Style | None = None
    sizes: list[int] = []


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ({"shape": {}}, "shape: unknown key; did you mean 'shapes'?"),
        ({"style": {"color": "blue"}}, "style.color: unknown key; did you mean 'colour'?"),
        ({"shapes": {"a": {"shape": "disc", "radios": 2}}}, "shapes.a.radios: unknown key; did you mean 'radius'?"),
        ({"shapes": {"a": {"shape": "square", "radius": 2}}}, "shapes.a.radius: unknown key; known: shape, side"),
        ({"shapes": {"circle": {"shape": "circle", "radius": "x"}}}, "shapes.circle.radius: input should be a valid"),
        ({"shapes": {"a": {"shape": "cirle"}}}, "shapes.a: unknown shape 'cirle'; did you mean 'circle'?"),
        ({"shapes": {"a": {}}}, "shapes.a: needs the key 'shape'"),
        ({"shapes": {"A": {"shape": "square"}}}, "shapes.A: 'A' is not a name"),
        ({"sizes": [1, "x"]}, "sizes.1: input should be a valid integer"),
        ([], "(top level): input should be a valid dictionary"),
    ],
)
def test_a_problem_is_told_with_its_key_and_what_would_be_right(content, line):
    with pytest.raises(ValidationError) as caught:
        Drawing.model_validate(content)
    (told,) = describe(caught.value, Drawing)
    assert told.startswith(line)


def test_a_suggestion_is_the_nearest_word_or_all_of_them():
    assert suggest("wrold", ["world", "given"]) == "; did you mean 'world'?"
    assert suggest("xyz", ["world", "given"]) == "; known: given, world"
    assert suggest("xyz", []) == "; none is defined"
