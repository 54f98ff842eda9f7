"""Where the time of a run goes: work on clips, starting Python, and Snakemake itself; with a projection.

    python benchmark/performance/pipeline.py --config config.yaml

Runs the configuration twice into a temporary folder, on one core (where the parts add up to the wall time) and on all.
Work is what the records of the artefacts say; starting is the time of a call that does
nothing but read the plan, times the number of jobs; the rest is Snakemake's,
or a core that waits. ``overhead_share`` is all but the work, as a share of wall time times cores.

The last line projects the overhead of a job on one core to benchmark/paper.yaml with 40 clips, one job at a time. What
its clips take is not measured but estimated (docs/cluster.md, "What a run takes").
"""

import argparse
import csv
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from stereozero.jobs import plan_jobs
from stereozero.plan import Plan, resolve
from stereozero.resources import job_requests

REPOSITORY = Path(__file__).parents[2]


def main() -> None:
    """Run and print one line of JSON for each number of cores, and one for the paper's scale."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=REPOSITORY / "config.yaml")
    parsed = parser.parse_args()
    measured = []
    for cores in (1, os.cpu_count() or 1):
        with tempfile.TemporaryDirectory() as folder:
            measured.append(measure(parsed.config, Path(folder), cores))
            print(json.dumps(measured[-1]), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(projection(paper_plan(40, Path(folder)), measured[0]["overhead_a_job"])))


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
    return {"cores": cores, **shares(wall, cores, work, jobs, start)}


def shares(wall: float, cores: int, work: float, jobs: int, start: float) -> dict[str, float]:
    """Divide the time of a run.

    Args:
        wall: its wall time [s].
        cores: cores that it had.
        work: seconds of work on clips, summed over cores.
        jobs: number of its jobs.
        start: seconds that a job takes to start.
    """
    overhead = wall * cores - work
    return {
        "wall": round(wall, 1),
        "jobs": jobs,
        "work_on_clips": round(work, 1),
        "starting_python": round(jobs * start, 1),
        "rest_and_idle": round(overhead - jobs * start, 1),
        "overhead_a_job": round(overhead / jobs, 2),
        "overhead_share": round(overhead / (wall * cores), 3),
    }


def paper_plan(clips: int, folder: Path) -> Plan:
    """Return the plan of benchmark/paper.yaml with so many clips: its own, again and again under other names."""
    content = yaml.safe_load((REPOSITORY / "benchmark" / "paper.yaml").read_text())
    with (REPOSITORY / content["manifest"]).open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    with (folder / "clips.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        for number, row in zip(range(clips), itertools.cycle(rows), strict=False):
            writer.writerow({**row, "clip_id": f"{row['clip_id']}-{number}"})
    published = REPOSITORY / "benchmark" / "published"
    places = {"manifest": str(folder / "clips.csv"), "results": str(folder), "published": str(published)}
    return resolve({**content, **places}, "benchmark/paper.yaml")


def projection(plan: Plan, overhead_a_job: float) -> dict[str, float | str]:
    """Return the overhead of a plan's jobs, run one at a time, as a share of the time that they would take."""
    jobs = plan_jobs(plan)
    requests = job_requests(plan, jobs, {}).values()
    work = sum(request.clips * request.cost.seconds for request in requests)
    overhead = len(jobs) * overhead_a_job
    return {
        "projected_to": f"{plan.config.run}, {len(plan.clips)} clips",
        "jobs": len(jobs),
        "estimated_work_hours": round(work / 3600, 2),
        "overhead_hours": round(overhead / 3600, 2),
        "overhead_share": round(overhead / (overhead + work), 3),
    }


def _start_seconds() -> float:
    started = time.monotonic()
    subprocess.run([sys.executable, "-m", "stereozero", "plan", "--help"], capture_output=True, check=True)
    return time.monotonic() - started


if __name__ == "__main__":
    main()
