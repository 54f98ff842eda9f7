"""The pipeline on a real Slurm of one node: same results as locally, and nothing lost whatever is interrupted.

Minutes, so `make test-slurm` runs them and `make test` does not. Skipped where Slurm is not installed.
"""

import csv
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import yaml
from manifest_files import write_rows

from stereozero.artifacts import damage
from stereozero.video import write_lossless

from . import slurm
from .faults import truncated
from .running import REPOSITORY, Outcome, checksums, results_of, snakemake_command

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

PROFILE = (
    *("--profile", str(REPOSITORY / "profiles" / "slurm")),
    *("--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "2", "--latency-wait", "5"),
)
TARGETS = ("evaluate", "deliver")  # one submission: all that is left out are tables and pages


@pytest.fixture(scope="module", autouse=True)
def cluster(tmp_path_factory) -> Iterator[None]:
    reason = slurm.obstacle()
    if reason:
        pytest.skip(reason)
    with slurm.cluster(tmp_path_factory.mktemp("slurm")):
        yield


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Callable[..., Path]:
    """Return a function that writes a small run into a folder of its own and returns its configuration."""

    def write(name: str, **changes) -> Path:
        folder = tmp_path_factory.mktemp(name)
        rows = tuple({"clip_id": f"w{seed}", "scene": "simple", "world_seed": str(seed)} for seed in (1, 2))
        write_rows(folder / "clips.csv", rows)
        content = {
            "run": "test",
            "manifest": "clips.csv",  # tables name it
            "published": str(REPOSITORY / "benchmark" / "published"),
            "device": "cpu",
            "video": {"height": 64, "width": 96, "frames": 4, "fps": 8},
            "depths": {"world": {"estimator": "world"}},
            "methods": {"warp-fill": {"kind": "warp-fill", "depth": "world"}},
            "metrics": ["disparity", "fidelity"],
            "delivery": {"formats": ["full-sbs"]},
        }
        (folder / "config.yaml").write_text(yaml.safe_dump({**content, **changes}))
        return folder / "config.yaml"

    return write


@pytest.fixture(scope="module")
def expected(project) -> dict[str, str]:
    """Return the checksums of the small run's results, made locally and undisturbed."""
    config = project("local")
    finish(config, *TARGETS)
    return checksums(results_of(config))


def start(config: Path, *arguments: str) -> subprocess.Popen:
    """Start Snakemake in the run's folder; its output goes to a file, so that no pipe outlives it."""
    command = snakemake_command(config, *arguments)
    listen = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # jobs in the background of a shell ignore Ctrl-C
    with (config.parent / "output.txt").open("w") as output:
        return subprocess.Popen(command, cwd=config.parent, stdout=output, stderr=subprocess.STDOUT, preexec_fn=listen)


def end(config: Path, running: subprocess.Popen) -> Outcome:
    status = running.wait(timeout=1200)
    return Outcome(status, (config.parent / "output.txt").read_text())


def finish(config: Path, *arguments: str) -> Outcome:
    """Run Snakemake to a good end."""
    outcome = end(config, start(config, *arguments))
    assert outcome.status == 0, outcome.text
    return outcome


def records(config: Path) -> dict[Path, bytes]:
    """Return the records of the artefacts that are whole; a record holds the time its artefact took to make.

    A record arrives before the files that it describes, and a job may be killed in between.
    """
    found = [path for path in results_of(config).rglob("record.json") if not path.parent.name.startswith(".")]
    return {path: path.read_bytes() for path in found if damage(path.parent) is None}


def wait_for_artefacts(config: Path) -> None:
    """Wait until a job is in the midst of its work."""
    slurm.wait_for(lambda: len(records(config)) > 2, "artefacts of a job on the node")


def finish_and_compare(config: Path, expected: dict[str, str]) -> None:
    """Finish an interrupted run through Slurm: its results are right, and what was done stays as it is."""
    assert truncated(results_of(config)) == set()
    done = records(config)
    assert done
    finish(config, "--unlock")
    finish(config, *TARGETS, *PROFILE)
    assert checksums(results_of(config)) == expected
    assert {path: path.read_bytes() for path in done} == done


def test_results_are_those_of_a_local_run_and_a_gpu_is_asked_for(project, tiny_model):
    settings = {
        "device": "auto",
        "batch_size": 1,
        "video": {"height": 32, "width": 48, "frames": 4},
        "generator": {"kind": "dynamicrafter", "folder": str(tiny_model), "steps": 4, "guidance": 1.0},
        "methods": {
            "mono-copy": {"kind": "mono-copy"},
            "ours": {"kind": "ours", "depth": "world", "restart_iterations": 1, "restart_steps": 2},
        },
    }
    here, there = project("here", **settings), project("there", **settings)
    finish(here)
    outcome = finish(there, *PROFILE, "--slurm-keep-successful-logs")
    assert checksums(results_of(there)) == checksums(results_of(here))
    assert "4 jobs with a GPU" in outcome.text
    submitted = slurm.call("squeue", "-h", "-t", "all", "-O", "tres-per-job:20,state:20").splitlines()
    # Both batches' trajectories are one submission, with one GPU that they use one after the other; so are targets.
    assert [line.split() for line in submitted].count(["gres:gpu:1", "COMPLETED"]) == 2
    slurm_logs = list((there.parent / "results" / "slurm").rglob("*.log"))
    assert slurm_logs
    assert not any("Execute 2 jobs" in path.read_text() for path in slurm_logs if "group_gpu" in str(path))
    assert len(submitted) == 5  # world to depth, trajectory, stereo, scores and players' files, tables
    assert (results_of(there) / "logs" / "stereo" / "ours" / "1of2.log").is_file()
    assert "Nothing to be done" in finish(there, *PROFILE).text


def demo(folder: Path) -> Path:
    """Write the repository's own configuration into a folder, cut down to two clips and what is done of them."""
    for name in ("benchmark", "models"):
        (folder / name).symlink_to(REPOSITORY / name)
    content = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
    with (REPOSITORY / content["manifest"]).open(newline="") as stream:
        rows = {row["clip_id"]: row for row in csv.DictReader(stream)}
    image = REPOSITORY / Path(content["manifest"]).parent / rows["generated-01"]["image"]
    write_rows(folder / "clips.csv", (rows["simple-01"], {**rows["generated-01"], "image": str(image)}))
    content["manifest"] = "clips.csv"
    content["generator"]["steps"] = 4
    content["metrics"] = ["disparity", "clip_frame"]
    first_of_kind: dict[tuple[str, str | None], str] = {}
    for name, method in content["methods"].items():
        if method["kind"] != "external":  # programs of others, which are not installed here
            first_of_kind.setdefault((method["kind"], method.get("depth")), name)
    content["methods"] = {name: content["methods"][name] for name in first_of_kind.values()}
    content["methods"]["stereodiffusion"] |= {"steps": 2, "shift_step": 1, "attention_step": 1}
    (folder / "config.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return folder / "config.yaml"


def test_the_demo_gives_the_same_bytes_as_on_this_machine(tmp_path_factory):
    """A rendered clip and one generated from an image, with every kind of our own methods on every depth."""
    here, there = (demo(tmp_path_factory.mktemp(name)) for name in ("demo-here", "demo-there"))
    finish(here)
    finish(there, *PROFILE)
    expected = checksums(results_of(here))
    assert checksums(results_of(there)) == expected
    for method in yaml.safe_load(here.read_text())["methods"]:
        assert any(name.startswith(f"targets/{method}/") for name in expected), method
    assert {"tables/table1.csv", "gallery/index.html"} <= expected.keys()


def test_a_failing_job_is_tried_again_then_shown_with_its_log_and_its_group_goes_on(project, moving_bars):
    config = project("failing", depths={"mine": {"estimator": "given"}}, methods={"mono-copy": {"kind": "mono-copy"}})
    np.save(config.parent / "d.npy", np.full((4, 64, 96), 0.5, np.float32))
    write_lossless(config.parent / "good.mkv", moving_bars, 8)
    (config.parent / "bad.mkv").write_text("this is no video")
    videos = {"v1": "bad.mkv", "v2": "good.mkv", "v3": "good.mkv", "v4": "good.mkv"}
    rows = [{"clip_id": clip, "source_video": video, "disparity": "d.npy"} for clip, video in videos.items()]
    write_rows(config.parent / "clips.csv", tuple(rows))

    outcome = end(config, start(config, "inputs", *PROFILE, "--retries", "1", "--cores", "1"))
    assert outcome.status == 1
    assert outcome.text.count("Trying to restart job") == 1
    assert "Error in group light0" in outcome.text
    assert "clip 'v1': " in outcome.text
    assert "bad.mkv" in outcome.text
    assert re.search(r"logs/inputs/\dof\d\.log", outcome.text)
    assert {path.parent.name for path in records(config)} == {"v2", "v3", "v4"}

    done = records(config)
    write_lossless(config.parent / "bad.mkv", moving_bars, 8)
    finish(config, "inputs")
    assert len(records(config)) == 4
    assert {path: path.read_bytes() for path in done} == done


def test_a_job_that_fails_once_succeeds_at_its_second_attempt_with_more_memory(project, moving_bars):
    config = project("once", depths={"mine": {"estimator": "given"}}, methods={"mono-copy": {"kind": "mono-copy"}})
    np.save(config.parent / "d.npy", np.full((4, 64, 96), 0.5, np.float32))
    write_lossless(config.parent / "whole.mkv", moving_bars, 8)
    (config.parent / "clip.mkv").write_text("this is no video")
    write_rows(config.parent / "clips.csv", ({"clip_id": "v", "source_video": "clip.mkv", "disparity": "d.npy"},))
    log = results_of(config) / "logs" / "inputs" / "1of1.log"

    running = start(config, "inputs", *PROFILE, "--retries", "1")
    slurm.wait_for(lambda: log.is_file() and "clips failed" in log.read_text(), "the first attempt to fail")
    (config.parent / "whole.mkv").replace(config.parent / "clip.mkv")
    outcome = end(config, running)
    assert outcome.status == 0, outcome.text
    assert outcome.text.count("Trying to restart job") == 1
    assert [path.parent.name for path in records(config)] == ["v"]
    attempts = slurm.call("squeue", "-h", "-t", "all", "-S", "i", "-O", "state:20,minmemory:20").splitlines()[-2:]
    (first, memory), (second, more) = (attempt.split() for attempt in attempts)
    assert (first, second) == ("FAILED", "COMPLETED")
    assert int(more.rstrip("MG")) == 2 * int(memory.rstrip("MG"))


def test_a_cancelled_job_is_finished_by_the_next_run(project, expected):
    config = project("cancelled")
    running = start(config, *TARGETS, *PROFILE, "--retries", "0")
    wait_for_artefacts(config)
    slurm.call("scancel", *slurm.jobs())
    outcome = end(config, running)
    assert outcome.status == 1
    assert "Error in group light1" in outcome.text
    finish_and_compare(config, expected)


def test_a_drained_node_is_waited_for_and_ctrl_c_takes_the_jobs_along(project, expected):
    config = project("interrupted")
    slurm.call("scontrol", "update", f"nodename={slurm.NODE}", "state=drain", "reason=test")
    running = start(config, *TARGETS, *PROFILE)
    try:
        slurm.wait_for(lambda: slurm.jobs("pending"), "a job that waits for the drained node")
        assert running.poll() is None
    finally:
        slurm.call("scontrol", "update", f"nodename={slurm.NODE}", "state=resume")
    wait_for_artefacts(config)
    running.send_signal(signal.SIGINT)
    assert end(config, running).status != 0
    slurm.wait_for(lambda: not slurm.jobs(), "the jobs to be cancelled", seconds=60)
    finish_and_compare(config, expected)


def test_a_node_drained_while_a_job_runs_lets_it_finish_and_the_next_job_waits(project, expected):
    config = project("drained")
    running = start(config, *PROFILE)
    wait_for_artefacts(config)
    (job,) = slurm.jobs("running")
    slurm.call("scontrol", "update", f"nodename={slurm.NODE}", "state=drain", "reason=test")
    try:
        assert slurm.jobs("running") == [job]
        slurm.wait_for(lambda: slurm.jobs("pending"), "the tables' job, which waits for the drained node")
        assert slurm.state_of(job) == "COMPLETED"
        assert running.poll() is None
    finally:
        slurm.call("scontrol", "update", f"nodename={slurm.NODE}", "state=resume")
    outcome = end(config, running)
    assert outcome.status == 0, outcome.text
    assert "Trying to restart job" not in outcome.text
    found = checksums(results_of(config))
    assert {name: found[name] for name in expected} == expected
    assert "tables/table1.csv" in found


def test_after_kill_9_of_snakemake_a_run_beside_the_orphaned_job_does_no_harm(project, expected):
    config = project("killed")
    running = start(config, *TARGETS, *PROFILE)
    wait_for_artefacts(config)
    running.kill()
    running.wait()
    assert slurm.jobs("running")
    finish_and_compare(config, expected)
