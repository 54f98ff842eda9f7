"""Runs Snakemake on a configuration, results in a temporary folder."""

import os
import subprocess
from collections.abc import Callable

import pytest
import yaml

from .running import Outcome, snakemake_command


@pytest.fixture
def run(tmp_path) -> Callable[..., Outcome]:
    """Return a function that writes a config and runs Snakemake on it."""

    def call(config: dict, *arguments: str) -> Outcome:
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            snakemake_command(path, *arguments),
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            timeout=600,
        )
        return Outcome(done.returncode, done.stdout + done.stderr)

    return call
