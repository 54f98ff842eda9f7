"""Disturb a run, run it again, and compare with a run that nobody disturbed.

    python -m tests.workflow.faults --seeds 10
    python -m tests.workflow.faults --seeds 0 --faults full-disk two-runs

Each seed chooses a moment to kill at. The victims take turns: the whole process group (as in a power cut), the
Snakemake process alone (its jobs live on, as after a lost terminal), one running job. The other faults are described in
disturbances.py; by default each of them is tried once. Some need root, to mount small file systems: without it they are
skipped, which the record says. The exit status is 1 if anything was observed that is not as expected.
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
from collections.abc import Iterable
from pathlib import Path

from .disturbances import FAULTS, NotPossibleError, Observed, differences
from .running import checksums, finish, prepare, results_of, snakemake_command, truncated

log = logging.getLogger(__name__)

VICTIMS = ("everything", "snakemake", "job")
EXPECTED_OF_KILLED: Observed = {"identical": True, "half_written_after_kill": [], "hidden_files_at_the_end": []}


def main() -> None:
    """Run the experiment and print its record as JSON."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="moments to kill at")
    parser.add_argument("--first-seed", type=int, default=0, help="to go on where another call ended")
    parser.add_argument("--faults", nargs="*", choices=FAULTS, default=list(FAULTS), help="default: all of them")
    parser.add_argument("--config", type=Path, default=Path(__file__).with_name("faults.yaml"))
    parsed = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        seeds = range(parsed.first_seed, parsed.first_seed + parsed.seeds)
        record = experiment(parsed.config, seeds, parsed.faults, Path(folder))
    sys.stdout.write(json.dumps(record, indent=2) + "\n")
    sys.exit(any(entry.get("not_as_expected") for entry in (*record["seeds"], *record["faults"])))


def experiment(config: Path, seeds: Iterable[int], faults: Iterable[str], folder: Path) -> dict:
    """Return how long the undisturbed run took, and what became of each disturbed one.

    Jobs that outlive a killed Snakemake run on beside the new run, as they would for a user who is in a hurry.

    Args:
        config: the run's configuration.
        seeds: of moments to kill at.
        faults: names of other faults, each tried once.
        folder: where the runs take place.

    Returns:
        "seeds": for each whom and when it killed; "faults": for each what was observed, or why it was skipped. In both
        "identical" says that all results were those of the undisturbed run, and "not_as_expected" holds what should
        have been observed and was not.
    """
    seconds, expected = undisturbed(config, folder / "undisturbed")
    return {
        "undisturbed_seconds": round(seconds, 1),
        "files": len(expected),
        "seeds": [killed(config, folder / f"seed{seed}", seed, seconds, expected) for seed in seeds],
        "faults": [tried(name, config, folder / name, expected) for name in faults],
    }


def undisturbed(config: Path, folder: Path) -> tuple[float, dict[str, str]]:
    """Run to the end; return the seconds that it took and the results' checksums."""
    started = time.monotonic()
    whole = prepare(config, folder)
    finish(whole)
    return time.monotonic() - started, checksums(results_of(whole))


def tried(name: str, config: Path, folder: Path, expected: dict[str, str]) -> dict:
    """Run one fault's experiment; one that this machine does not allow is skipped, with the reason."""
    fault = FAULTS[name]
    try:
        observed = fault.experiment(config, folder, expected)
        entry = {"fault": name, **observed, "not_as_expected": differences(observed, fault.expected)}
    except NotPossibleError as reason:
        entry = {"fault": name, "skipped": str(reason)}
    log.info("%s", entry)
    return entry


def killed(config: Path, folder: Path, seed: int, seconds: float, expected: dict[str, str]) -> dict:
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
        "different": sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name)),
        "half_written_after_kill": half_written,
        "hidden_files_at_the_end": leftovers,
    }
    entry["not_as_expected"] = differences(entry, EXPECTED_OF_KILLED)
    log.info("%s", entry)
    return entry


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
