"""What the repository brings along: two lists of what must be installed, which say the same, and embedded models."""

import tomllib
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).parents[1]
MOST_BYTES = 25 * 2**20  # of all embedded models together


def test_conda_and_pip_install_the_same():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    wanted = [*project["dependencies"], *(item for extra in extras for item in extra)]
    conda = yaml.safe_load((REPOSITORY / "environment.yml").read_text())["dependencies"]
    (through_pip,) = [entry["pip"] for entry in conda if isinstance(entry, dict)]
    assert sorted(through_pip) == sorted([*wanted, "--editable ."])
    assert f"python{project['requires-python']}" in conda


def test_the_embedded_models_stay_small():
    assert sum(path.stat().st_size for path in (REPOSITORY / "models").rglob("*") if path.is_file()) <= MOST_BYTES
