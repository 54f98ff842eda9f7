"""Where the time of a run goes: work on clips, starting Python, and Snakemake itself.

    python benchmark/performance/pipeline.py --config config.yaml

Runs the configuration twice into a temporary folder, on one core (where the parts add up to the wall time) and on all.
Work is what the records of the artefacts say; starting is the time of a call that does
nothing but read the plan, times the number of jobs; the rest is Snakemake's,
or a core that waits.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).parents[2]


def main() -> None:
    """Run and print one line of JSON for each number of cores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=REPOSITORY / "config.yaml")
    parsed = parser.parse_args()
    for cores in (1, os.cpu_count() or 1):
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(measure(parsed.config, Path(folder), cores)))


def measure(config: Path, folder: Path, cores: int) -> dict[str, float]:
    """Return the times in seconds of one run on this many cores."""
    content = {**yaml.safe_load(config.read_text()), "results": str(folder / "results")}
    (folder / "config.yaml").write_text(yaml.safe_dump(content))
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--configfile", str(folder / "config.yaml"), "--cores", str(cores)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    wall = time.monotonic() - started
    jobs = int(re.findall(r"^total +(\d+)$", done.stdout + done.stderr, re.MULTILINE)[0]) - 1  # all but rule all
    root = folder / "results" / content["run"]
    work = sum(json.loads(path.read_text())["made"]["seconds"] for path in root.rglob("record.json"))
    start = min(_start_seconds() for _ in range(3))
    return {
        "cores": cores,
        "wall": round(wall, 1),
        "jobs": jobs,
        "work_on_clips": round(work, 1),
        "starting_python": round(jobs * start, 1),
        "rest_and_idle": round(wall * cores - work - jobs * start, 1),
    }


def _start_seconds() -> float:
    started = time.monotonic()
    subprocess.run([sys.executable, "-m", "stereozero", "plan", "--help"], capture_output=True, check=True)
    return time.monotonic() - started


if __name__ == "__main__":
    main()
