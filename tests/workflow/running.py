"""What running Snakemake as a user does takes: in its own process, on the repository's Snakefile."""

import hashlib
import re
import sys
from pathlib import Path
from typing import NamedTuple

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
