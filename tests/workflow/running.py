"""What running Snakemake as a user does takes: in its own process, on the repository's Snakefile."""

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

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


def checksums(folder: Path) -> dict[str, str]:
    """Return relative path -> SHA-256 of all results; records, logs and the like, which hold times, are left out."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "record.json"]
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(files)
        if not {"logs", "plan.json"} & set(path.relative_to(folder).parts)
    }


def prepare(config: Path, folder: Path) -> Path:
    """Copy a configuration into a folder of its own; return the copy's path."""
    content = yaml.safe_load(config.read_text())
    for key in ("manifest", "published"):
        content[key] = str(Path(content.get(key, "benchmark/published")).resolve())
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump({**content, "results": "results"}))
    return folder / "config.yaml"


def results_of(config: Path) -> Path:
    """Return the folder of the run's results."""
    return config.parent / "results" / yaml.safe_load(config.read_text())["run"]


def run_snakemake(config: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> Outcome:
    """Run Snakemake on a prepared configuration; return how it ended."""
    command = snakemake_command(config, *arguments)
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return Outcome(done.returncode, done.stdout + done.stderr)


def finish(config: Path) -> None:
    """Run Snakemake to the end, after unlocking what a killed one left locked."""
    for arguments in (["--unlock"], []):
        outcome = run_snakemake(config, *arguments)
        if outcome.status:
            raise RuntimeError(outcome.text)


def truncated(results: Path) -> set[str]:
    """Return files under a final name that are not what their record says."""
    return {
        str(record.parent / name)
        for record in results.rglob("record.json")
        for name, facts in json.loads(record.read_text())["files"].items()
        if (record.parent / name).is_file() and (record.parent / name).stat().st_size != facts["bytes"]
    }
