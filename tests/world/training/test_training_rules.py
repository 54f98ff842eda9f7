"""The rules that train the embedded models: that each model has them, and that they call what there is."""

import ast
import re
from pathlib import Path

import pytest

from stereozero.world.training.__main__ import EXPORTS, _parser

REPOSITORY = Path(__file__).parents[3]
TRAININGS = ast.literal_eval(
    re.search(r"^TRAININGS = (\{.*?^\})", (REPOSITORY / "rules" / "world.smk").read_text(), re.DOTALL | re.MULTILINE)[1]
)


def test_every_embedded_model_has_a_rule_that_the_readme_names():
    assert TRAININGS.keys() == {folder.name for folder in (REPOSITORY / "models").iterdir() if folder.is_dir()}
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert all(f"`train_{model}`" in readme for model in TRAININGS)


@pytest.mark.parametrize("model", TRAININGS)
def test_its_parts_are_commands_that_work_in_its_folders_and_export_last(model):
    for part in TRAININGS[model]:
        assert _parser().parse_args([part]).work_dir == Path("build", model)
    assert TRAININGS[model][-1] in EXPORTS
    assert _parser().parse_args(TRAININGS[model][-1:]).to == Path("models", model)
