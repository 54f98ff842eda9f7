"""One GPU a process, without any GPU: device names are made up."""

import logging
import multiprocessing
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from stereozero.errors import StageError
from stereozero.gpu_lease import VISIBLE, device_ids, lease, visible_gpu

DEVICES = ["GPU-a", "GPU-b", "GPU-c"]


@pytest.fixture(autouse=True)
def machine_with_three_gpus(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv(VISIBLE, ",".join(DEVICES))
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def test_leases_at_a_time_are_of_different_devices(tmp_path):
    with ExitStack() as held:
        names = [held.enter_context(lease(DEVICES, tmp_path)) for _ in DEVICES]
        assert sorted(names) == DEVICES
        with (
            pytest.raises(StageError, match=r"each GPU \(GPU-a, GPU-b, GPU-c\) is in use"),
            lease(DEVICES, tmp_path, 0),
        ):
            pass
    with lease(DEVICES, tmp_path, patience=0) as name:
        assert name == "GPU-a"


def _hold(folder: Path, barrier, names) -> None:
    with lease(DEVICES, folder) as name:
        names.put(name)
        barrier.wait(timeout=60)


def test_processes_get_different_devices(tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier, names = context.Barrier(len(DEVICES)), context.Queue()
    processes = [context.Process(target=_hold, args=(tmp_path, barrier, names)) for _ in DEVICES]
    for process in processes:
        process.start()
    assert sorted(names.get(timeout=60) for _ in DEVICES) == DEVICES
    for process in processes:
        process.join(timeout=60)
        assert process.exitcode == 0


def test_a_killed_process_gives_its_device_back(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from stereozero.gpu_lease import lease\n"
        "with lease(['GPU-a'], Path(sys.argv[1])):\n    print('held', flush=True); time.sleep(600)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(StageError), lease(["GPU-a"], tmp_path, patience=0):
        pass
    holder.kill()
    holder.wait()
    with lease(["GPU-a"], tmp_path, patience=0) as name:
        assert name == "GPU-a"


def test_a_program_that_a_stage_starts_does_not_keep_its_device(tmp_path):
    with lease(["GPU-a"], tmp_path):
        program = subprocess.Popen(["sleep", "600"], close_fds=False)
    try:
        with lease(["GPU-a"], tmp_path, patience=0) as name:
            assert name == "GPU-a"
    finally:
        program.kill()
        program.wait()


def test_a_job_sees_the_device_it_leased_and_the_log_says_which(caplog):
    caplog.set_level(logging.INFO)
    with visible_gpu(True):
        assert os.environ[VISIBLE] == "GPU-a"
    assert os.environ[VISIBLE] == ",".join(DEVICES)
    assert "GPU GPU-a" in caplog.text


def test_a_job_that_needs_no_gpu_sees_none():
    with visible_gpu(False):
        assert os.environ[VISIBLE] == ""
    assert os.environ[VISIBLE] == ",".join(DEVICES)


def test_what_slurm_gave_is_left_alone(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    with visible_gpu(True):
        assert os.environ[VISIBLE] == ",".join(DEVICES)


def test_one_gpu_is_not_leased(monkeypatch, tmp_path):
    monkeypatch.setenv(VISIBLE, "3")
    with visible_gpu(True):
        assert os.environ[VISIBLE] == "3"
    assert not list(tmp_path.rglob("*.lock"))


def test_devices_are_those_that_are_visible_else_those_of_the_driver(monkeypatch, tmp_path):
    assert device_ids({VISIBLE: "2, 5"}) == ["2", "5"]
    assert device_ids({VISIBLE: ""}) == []
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho GPU-1\necho GPU-2\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert device_ids({}) == ["GPU-1", "GPU-2"]
    program.unlink()
    assert device_ids({}) == []
