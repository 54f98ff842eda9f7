"""The two lists of what must be installed say the same."""

import tomllib
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).parents[1]


def test_conda_and_pip_install_the_same():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    wanted = [*project["dependencies"], *(item for extra in extras for item in extra)]
    conda = yaml.safe_load((REPOSITORY / "environment.yml").read_text())["dependencies"]
    (through_pip,) = [entry["pip"] for entry in conda if isinstance(entry, dict)]
    assert sorted(through_pip) == sorted([*wanted, "--editable ."])
    assert f"python{project['requires-python']}" in conda
