"""Runs Snakemake as a user does: in its own process, on the repository's Snakefile, results in a temporary folder."""

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]


class Outcome(NamedTuple):
    """How a Snakemake call ended."""

    status: int
    text: str

    @property
    def jobs(self) -> dict[str, int]:
        """Rule -> number of jobs, from the table that Snakemake prints; empty if there was nothing to do."""
        table = re.search(r"^job +count\n[- ]+\n(.*?)^total", self.text, re.DOTALL | re.MULTILINE)
        return (
            {name: int(count) for name, count in re.findall(r"^(\S+) +(\d+)$", table[1], re.MULTILINE)} if table else {}
        )


def snakemake_command(config: Path, *arguments: str) -> list[str]:
    """Return the command that runs the repository's workflow in the config's folder."""
    fixed = [
        "--snakefile",
        str(REPOSITORY / "Snakefile"),
        "--directory",
        str(config.parent),
        "--configfile",
        str(config),
    ]
    return [sys.executable, "-m", "snakemake", *fixed, "--cores", "2", *arguments]


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


def checksums(folder: Path) -> dict[str, str]:
    """Return relative path -> SHA-256 of all results; records, logs and the like, which hold times, are left out."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "record.json"]
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(files)
        if not {"logs", "plan.json"} & set(path.relative_to(folder).parts)
    }
