"""What the repository brings along: two lists of what must be installed, which say the same, and embedded models."""

import re
import tomllib
from pathlib import Path

import yaml

from stereozero.artifacts import sha256_of

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


def test_the_image_model_was_trained_with_the_generators_encoders_that_lie_beside_it():
    models = REPOSITORY / "models"
    trained_with = dict(
        re.findall(r'"(vae|conditioner)": "([0-9a-f]{64})"', (models / "image" / "README.md").read_text())
    )
    assert trained_with == {
        name: sha256_of(models / "generator" / name / "diffusion_pytorch_model.safetensors")
        for name in ("vae", "conditioner")
    }
