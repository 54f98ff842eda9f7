"""A Slurm cluster of one node on this machine, for tests: started from Debian's packages, stopped and removed after.

It is Slurm itself, without accounting and authentication. Its GPU is a stand-in that keeps jobs apart, nothing more.
Its node claims more cores and memory than the machine may have, so that what the profile asks for fits.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "sinfo")
SETTINGS = Path("/etc/slurm")  # the executor plugin takes SLURM_CONF out of a job's environment
OURS = "# Written by StereoZero's tests, which remove it.\n"
NODE = socket.gethostname().split(".")[0]

CLUSTER = """\
ClusterName=stereozero
SlurmctldHost={node}
SlurmUser=root
AuthType=auth/none
CredType=cred/none
StateSaveLocation={folder}/controller
SlurmdSpoolDir={folder}/node
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
SlurmdParameters=config_overrides
MinJobAge=3600
ReturnToService=2
KillWait=2
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
NodeName={node} CPUs=4 RealMemory=200000 Gres=gpu:1 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def obstacle() -> str | None:
    """Return why no cluster can be started here, and what to do; None if one can."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"Slurm is not installed ({', '.join(missing)}): apt-get install --no-install-recommends slurm-wlm"
    if os.geteuid() != 0:
        return "a Slurm cluster for tests needs root, to write /etc/slurm"
    foreign = [path for path in _files() if path.exists() and not path.read_text().startswith(OURS)]
    if foreign:
        return f"{foreign[0]} is there already and not of these tests: they leave a real cluster's machine alone"
    return None


def _files() -> tuple[Path, Path]:
    return SETTINGS / "slurm.conf", SETTINGS / "gres.conf"


@contextmanager
def cluster(folder: Path) -> Iterator[None]:
    """Run a cluster inside the block, its state in ``folder``."""
    _stop_earlier()
    for name in ("controller", "node"):
        (folder / name).mkdir(parents=True)
    settings = CLUSTER.format(node=NODE, folder=folder)
    for path, content in zip(_files(), (settings, f"NodeName={NODE} Name=gpu File=/dev/null\n"), strict=True):
        path.write_text(OURS + content)
    try:
        for daemon in ("slurmctld", "slurmd"):
            subprocess.run([daemon], check=True, timeout=30)
        wait_for(lambda: call("sinfo", "-h", "-o", "%T") == "idle", "the node to be idle", seconds=60)
        yield
    finally:
        _stop(folder)


def _stop_earlier() -> None:
    """Stop the cluster of an earlier run that was killed, by what its configuration says."""
    configuration = _files()[0]
    if configuration.exists():
        lines = configuration.read_text().splitlines()
        _stop(Path(next(line for line in lines if line.startswith("SlurmctldPidFile=")).partition("=")[2]).parent)


def _stop(folder: Path) -> None:
    for daemon in ("slurmd", "slurmctld"):
        pid_file = folder / f"{daemon}.pid"
        if pid_file.exists():
            _end(int(pid_file.read_text()), daemon)
    for path in _files():
        path.unlink(missing_ok=True)


def _end(pid: int, name: str) -> None:
    """End a process, if it is still the one that is meant."""
    status = Path(f"/proc/{pid}/comm")
    if status.exists() and status.read_text().strip() == name:
        os.kill(pid, signal.SIGTERM)
        wait_for(lambda: not status.exists(), f"{name} to end", seconds=30)


def call(*command: str) -> str:
    """Return what a command prints."""
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def jobs(state: str = "all") -> list[str]:
    """Return the ids of the jobs in a state (``running``, ``pending``); without one, of all that are not done."""
    return call("squeue", "-h", "-o", "%i", *([] if state == "all" else ["-t", state])).split()


def state_of(job: str) -> str:
    """Return the state of a job, also of one that has ended."""
    return call("squeue", "-h", "-t", "all", "-j", job, "-o", "%T")


def wait_for(condition, what: str, seconds: float = 600) -> None:
    """Wait until a condition holds.

    Raises:
        TimeoutError: it did not within so many seconds.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds} s for {what}")
        time.sleep(0.05)
