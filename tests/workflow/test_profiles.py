"""The profiles fit the repository's configurations: a dry run says what would be done and what it takes."""

import shutil
import subprocess
import sys

import pytest

from .running import REPOSITORY

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("profile", ["workstation", pytest.param("slurm", marks=pytest.mark.slurm)])
@pytest.mark.parametrize(("config", "gpu"), [("config.yaml", False), ("benchmark/paper.yaml", True)])
def test_a_dry_run_says_what_a_run_takes(profile, config, gpu, tmp_path):
    if profile == "slurm":
        pytest.importorskip("snakemake_executor_plugin_slurm")
    for name in ("benchmark", "models"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    shutil.copy(REPOSITORY / "config.yaml", tmp_path)
    files = ["--snakefile", str(REPOSITORY / "Snakefile"), "--configfile", config]
    command = [sys.executable, "-m", "snakemake", "--profile", str(REPOSITORY / "profiles" / profile), "-n", *files]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    text = done.stdout + done.stderr
    assert done.returncode == 0, text
    assert "jobs have no result yet: about " in text
    assert ("hours of a GPU" in text) == gpu
    assert "submissions on a cluster: " in text
