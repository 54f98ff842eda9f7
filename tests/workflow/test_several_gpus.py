"""A workstation with two GPUs, which are names only: networks run on the CPU here."""

import re

import pytest

pytestmark = pytest.mark.slow


def test_jobs_at_a_time_see_one_gpu_each_and_the_others_none(run, image_config, monkeypatch, tmp_path):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    image_config |= {"device": "auto", "batch_size": 1}
    outcome = run(image_config, "generate")
    assert outcome.status == 0, outcome.text
    assert re.search(r"Provided resources: .*gpu.*2", outcome.text)
    logs = tmp_path / "results" / "test" / "logs"
    leased = [re.search(r"GPU (GPU-\w)", log.read_text())[1] for log in (logs / "generate").glob("*.log")]
    assert len(leased) >= 2
    assert set(leased) == {"GPU-a", "GPU-b"}
    assert not any("GPU" in log.read_text() for log in (logs / "inputs").glob("*.log"))
