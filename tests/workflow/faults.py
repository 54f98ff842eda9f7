"""Kill a run at random moments, run it again, and compare with a run that nobody disturbed.

    python -m tests.workflow.faults --seeds 10

Each seed chooses a moment. The victims take turns: the whole process group (as in a power cut), the Snakemake process
alone (its jobs live on, as after a lost terminal), one running job.
"""

import argparse
import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from .running import checksums, snakemake_command

log = logging.getLogger(__name__)

VICTIMS = ("everything", "snakemake", "job")


def main() -> None:
    """Run the experiment and print its record as JSON."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--config", type=Path, default=Path(__file__).with_name("faults.yaml"))
    parsed = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        record = experiment(parsed.config, parsed.seeds, Path(folder))
    sys.stdout.write(json.dumps(record, indent=2) + "\n")
    sys.exit(not all(entry["identical"] for entry in record["seeds"]))


def experiment(config: Path, seeds: int, folder: Path) -> dict:
    """Return how long the undisturbed run took, and for each seed whom and when it killed and whether all was equal.

    Jobs that outlive a killed Snakemake run on beside the new run, as they would for a user who is in a hurry.
    """
    started = time.monotonic()
    whole = prepare(config, folder / "undisturbed")
    finish(whole)
    seconds = time.monotonic() - started
    expected = checksums(results_of(whole))
    return {
        "undisturbed_seconds": round(seconds, 1),
        "files": len(expected),
        "seeds": [disturbed(config, folder / f"seed{seed}", seed, seconds, expected) for seed in range(seeds)],
    }


def prepare(config: Path, folder: Path) -> Path:
    """Copy a configuration into a folder of its own; return the copy's path."""
    content = yaml.safe_load(config.read_text())
    for key in ("manifest", "published"):
        content[key] = str(Path(content.get(key, "benchmark/published")).resolve())
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump({**content, "results": "results"}))
    return folder / "config.yaml"


def results_of(config: Path) -> Path:
    """Return the folder of the run's results."""
    return config.parent / "results" / yaml.safe_load(config.read_text())["run"]


def finish(config: Path) -> None:
    """Run Snakemake to the end, after unlocking what a killed one left locked."""
    for arguments in (["--unlock"], []):
        done = subprocess.run(snakemake_command(config, *arguments), capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stdout + done.stderr)


def disturbed(config: Path, folder: Path, seed: int, seconds: float, expected: dict[str, str]) -> dict:
    """Kill one victim at a random moment, finish the run, and compare its results with the expected ones.

    The moment is a number of finished jobs and a delay after them, so that it falls into the run on a busy machine too.
    """
    chance = random.Random(seed)
    own, victim = prepare(config, folder), VICTIMS[seed % len(VICTIMS)]
    jobs = sum(name.startswith("jobs/") for name in expected)
    done, delay = chance.randrange(jobs), chance.uniform(0, 1.5 * seconds / jobs)
    running = subprocess.Popen(
        snakemake_command(own), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    while len(list(results_of(own).glob("jobs/**/*.json"))) < done and running.poll() is None:
        time.sleep(0.02)
    time.sleep(delay)
    hit = kill(running, victim)
    running.wait()
    half_written = sorted(truncated(results_of(own)))
    finish(own)
    found = checksums(results_of(own))
    leftovers = [path.name for path in results_of(own).rglob(".*")]
    shutil.rmtree(folder)
    entry = {
        "seed": seed,
        "victim": victim,
        "after_jobs": done,
        "and_seconds": round(delay, 2),
        "killed": hit,
        "identical": found == expected,
        "half_written_after_kill": half_written,
        "hidden_files_at_the_end": leftovers,
    }
    log.info("%s", entry)
    return entry


def truncated(results: Path) -> set[str]:
    """Return files under a final name that are not what their record says."""
    return {
        str(record.parent / name)
        for record in results.rglob("record.json")
        for name, facts in json.loads(record.read_text())["files"].items()
        if (record.parent / name).is_file() and (record.parent / name).stat().st_size != facts["bytes"]
    }


def kill(running: subprocess.Popen, victim: str) -> str:
    """Kill the victim with SIGKILL; return what was hit."""
    if running.poll() is not None:
        return "nothing: it had ended"
    if victim == "everything":
        os.killpg(running.pid, signal.SIGKILL)
        return "process group"
    if victim == "snakemake":
        running.kill()
        return "snakemake"
    jobs = jobs_of(running.pid)
    if not jobs:
        running.kill()
        return "snakemake: no job was running"
    os.kill(jobs[0], signal.SIGKILL)
    return "job"


def jobs_of(session: int) -> list[int]:
    """Return the processes of a session that run a stage."""
    listed = subprocess.run(["ps", "-s", str(session), "-o", "pid=,args="], capture_output=True, text=True, check=False)
    lines = [line.split(maxsplit=1) for line in listed.stdout.splitlines()]
    return [int(pid) for pid, command in lines if "bin/stereozero " in command and "bash" not in command]


if __name__ == "__main__":
    main()
