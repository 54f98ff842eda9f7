"""Time and memory that planning takes: a dry run of many clips of the synthetic world with ten methods.

    python benchmark/performance/planning.py --clips 100 1000 10000

Each dry run starts from nothing: config and manifest are validated, ten methods, all metrics and all deliveries of
every clip are planned, and Snakemake builds its graph. Memory is the peak of the whole process. "cpu" is the time that
the process itself computed, which tells more than "wall" on a machine that does other things. How many files a clip
leaves in the end follows from the plan: each artefact is a folder, with a record beside its files.
"""

import argparse
import csv
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from stereozero.jobs import STAGES
from stereozero.plan import resolve

REPOSITORY = Path(__file__).parents[2]
FILLS = ("edge-stretch", "background", "mirror", "telea", "navier-stokes")


def main() -> None:
    """Plan each number of clips and print one line of JSON for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, nargs="+", default=[100, 1000, 10000])
    for count in parser.parse_args().clips:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(measure(count, Path(folder))), flush=True)


def measure(clips: int, folder: Path) -> dict[str, float]:
    """Return what a dry run of this many clips takes: seconds and MiB."""
    write_run(clips, folder)
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile"), "-n"]
    with (folder / "log").open("w") as log:
        started = time.monotonic()
        process = subprocess.Popen(
            [*command, "--configfile", "config.yaml", "--cores", "1"], cwd=folder, stdout=log, stderr=log
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - started
    text = (folder / "log").read_text()
    if status:
        raise RuntimeError(text)
    return {
        "clips": clips,
        "methods": 2 * len(FILLS),
        "jobs": int(re.findall(r"^total +(\d+)$", text, re.MULTILINE)[0]),
        "wall_s": round(wall, 1),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_mb": round(usage.ru_maxrss / 1024),
        **left_by_a_clip(folder),
    }


def left_by_a_clip(folder: Path) -> dict[str, int]:
    """Return the numbers of artefacts, files and folders that the run leaves of one clip in the end."""
    plan = resolve(yaml.safe_load((folder / "config.yaml").read_text()), "config.yaml")
    variants = [(stage, variant) for stage in STAGES for variant in stage.variants(plan)]
    made = [artifact for stage, variant in variants for artifact in stage.artifacts(plan, variant, plan.clips[0])]
    return {
        "artefacts_a_clip": len(made),
        "files_a_clip": sum(len(artifact.files) + 1 for artifact in made),
        "folders_a_clip": len({artifact.folder for artifact in made}),
    }


def write_run(clips: int, folder: Path) -> None:
    """Write the manifest and the configuration of a run."""
    with (folder / "clips.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["clip_id", "scene", "world_seed"])
        writer.writerows([f"clip{number:05d}", "simple", number] for number in range(clips))
    methods = {
        f"{fill}-{warp}": {"kind": "warp-fill", "depth": "world", "fill": fill, "warp": warp}
        for fill in FILLS
        for warp in ("whole", "subpixel")
    }
    config = {
        "run": "planning",
        "manifest": str(folder / "clips.csv"),
        "published": str(REPOSITORY / "benchmark" / "published"),
        "depths": {"world": {"estimator": "world"}},
        "methods": methods,
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


if __name__ == "__main__":
    main()
