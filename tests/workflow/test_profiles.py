"""The profiles fit the repository's configurations: what a dry run says, what is asked for, how much runs at a time."""

import csv
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from manifest_files import write_rows

from .running import REPOSITORY

pytestmark = pytest.mark.slow

needs_slurm = pytest.mark.slurm
"""Of a dry run with profiles/slurm: it takes the executor plugin, which `make test-slurm` installs, but no cluster."""


@pytest.fixture
def folder(tmp_path) -> Path:
    """Return a folder to run in, with what the repository's configurations name."""
    for name in ("benchmark", "models"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    shutil.copy(REPOSITORY / "config.yaml", tmp_path)
    return tmp_path


@pytest.fixture
def dry_run(folder) -> Callable[..., str]:
    """Return a function that makes a dry run with a profile and returns what it says."""

    def call(profile: str, config: str, *arguments: str, snakefile: Path = REPOSITORY / "Snakefile") -> str:
        if profile == "slurm":
            pytest.importorskip("snakemake_executor_plugin_slurm")
        files = ["--snakefile", str(snakefile), "--configfile", config]
        profiles = ["--profile", str(REPOSITORY / "profiles" / profile)]
        command = [sys.executable, "-m", "snakemake", "all", *profiles, "-n", *files, *arguments]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return call


@pytest.mark.parametrize("profile", ["workstation", pytest.param("slurm", marks=needs_slurm)])
@pytest.mark.parametrize(("config", "gpu"), [("config.yaml", False), ("benchmark/paper.yaml", True)])
def test_a_dry_run_says_what_a_run_takes(profile, config, gpu, dry_run):
    text = dry_run(profile, config)
    assert "jobs have no result yet: about " in text
    assert ("hours of a GPU" in text) == gpu
    assert "submissions on a cluster: " in text


class Submission(NamedTuple):
    """What is submitted at once."""

    group: str
    jobs: tuple[str, ...]

    @property
    def has_gpu(self) -> bool:
        """True if its jobs have a GPU: those that are alone, and the groups of such jobs."""
        return not self.group or self.group.startswith("gpu")


def submissions(text: str) -> Iterator[Submission]:
    """Yield what a dry run of a GPU configuration would submit; local jobs are left out."""
    for heading in re.finditer(r"^\[.*\] Group job (\w+) .*\n((?:\s*\n|    .*\n)*)", text, re.MULTILINE):
        yield Submission(heading[1], tuple(re.findall(r"^    Job \d+: (.*)$", heading[2], re.MULTILINE)))
    for title in re.findall(r"^Job \d+: (.*)$", text, re.MULTILINE):
        if not title.startswith("weights: ") and title != "everything is there":
            yield Submission("", (title,))


def stated(config: str) -> dict[str, int]:
    """Return what the table in docs/cluster.md says of a configuration with 40 clips."""
    document = (REPOSITORY / "docs" / "cluster.md").read_text()
    cells = re.search(rf"^\| `{config}` \|(.*)\|$", document, re.MULTILINE)[1].split("|")
    columns = ("jobs", "submissions", "gpu_jobs", "gpu_submissions")
    return dict(zip(columns, (int(cell.replace(",", "")) for cell in cells), strict=True))


@needs_slurm
@pytest.mark.parametrize("config", ["benchmark/paper.yaml", "benchmark/paper-tables.yaml"])
def test_forty_clips_make_as_many_submissions_as_the_documentation_says(config, folder, dry_run):
    content = yaml.safe_load((REPOSITORY / config).read_text())
    with (REPOSITORY / content["manifest"]).open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    forty = [{**row, "clip_id": f"{row['clip_id']}-{copy}"} for copy in range(5) for row in rows]
    assert len(forty) == 40
    content["manifest"] = str(write_rows(folder / "forty.csv", tuple(forty)))
    (folder / "forty.yaml").write_text(yaml.safe_dump(content))
    found = list(submissions(dry_run("slurm", "forty.yaml")))
    with_gpu = [submission for submission in found if submission.has_gpu]
    assert stated(config) == {
        "jobs": sum(len(submission.jobs) for submission in found),
        "submissions": len(found),
        "gpu_jobs": sum(len(submission.jobs) for submission in with_gpu),
        "gpu_submissions": len(with_gpu),
    }
    assert max(len(submission.jobs) for submission in with_gpu) == 4
    assert any("evaluate" in job for submission in with_gpu if submission.group for job in submission.jobs)


def resources_of(text: str) -> dict[str, dict[str, str]]:
    """Return rule -> resource -> value, from a dry run that lists jobs with their resources."""
    found: dict[str, dict[str, str]] = {}
    rule = ""
    for line in text.splitlines():
        if heading := re.fullmatch(r" *rule (\S+):", line):
            rule = heading[1]
        elif listing := re.fullmatch(r" *resources: (.*)", line):
            found[rule] = dict(pair.split("=", 1) for pair in listing[1].split(", "))
    return found


@needs_slurm
def test_a_gpu_is_asked_for_as_the_profile_says_and_only_where_it_is_needed(folder, dry_run):
    profile = yaml.safe_load((REPOSITORY / "profiles" / "slurm" / "config.yaml").read_text())
    own = ["slurm_partition=cpu", "gpu_partition='accelerated'", "gpu_gres=gpu:a100:1"]  # with and without quotes
    kept = [f"{name}={value}" for name, value in profile["default-resources"].items()]
    # Jobs that have a message are listed without their resources.
    (folder / "Snakefile").write_text(
        f'include: "{REPOSITORY / "Snakefile"}"\n\nfor one in workflow.rules:\n    one.message = None\n'
    )
    text = dry_run("slurm", "benchmark/paper.yaml", "--default-resources", *kept, *own, snakefile=folder / "Snakefile")
    resources = resources_of(text)
    for rule in ("generate_batch", "estimate_depthcrafter", "derive_dissolved", "stereo_paper", "evaluate_paper"):
        assert resources[rule]["gres"] == "gpu:a100:1"
        assert resources[rule]["slurm_partition"] == "accelerated"
        assert "gpu" not in resources[rule]  # the plugin refuses both
    for rule in ("baseline_mono-copy", "depth_depthcrafter", "deliver_paper", "tabulate"):
        assert resources[rule]["slurm_partition"] == "cpu"
        assert "gres" not in resources[rule]
    memory = {rule: int(asked["mem_mb"]) for rule, asked in resources.items()}
    assert memory["stereo_paper"] > 16_000 > memory["deliver_paper"]  # a network of 10 GB is loaded
    assert memory["tabulate"] == profile["default-resources"]["mem_mb"]


@pytest.mark.parametrize(("limit", "at_a_time"), [(1500, 1), (64_000, 2)])
def test_on_a_workstation_no_more_runs_at_a_time_than_the_memory_allows(run, world_config, limit, at_a_time):
    """Each of the two jobs asks for 1000 MB; the machine has two cores."""
    profile = REPOSITORY / "profiles" / "workstation"
    outcome = run(
        {**world_config, "batch_size": 1}, "world", "--profile", str(profile), "--resources", f"mem_mb={limit}"
    )
    assert outcome.status == 0, outcome.text
    assert re.search(rf"Provided resources: .*mem_mb\D+{limit}\b", outcome.text)
    assert max(map(int, re.findall(r"^Execute (\d+) jobs", outcome.text, re.MULTILINE))) == at_a_time


def test_the_workstations_profile_limits_the_memory():
    profile = yaml.safe_load((REPOSITORY / "profiles" / "workstation" / "config.yaml").read_text())
    assert "mem_mb=64000" in profile["resources"]
