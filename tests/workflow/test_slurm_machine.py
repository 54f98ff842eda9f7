"""Where the tests' Slurm cluster may be started, and what is said where not."""

import pytest

from . import slurm


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setattr(slurm, "SETTINGS", tmp_path)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/sbin/{name}")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    return tmp_path


def test_a_machine_without_a_cluster_will_do(settings):
    assert slurm.obstacle() is None


def test_a_real_clusters_machine_is_left_alone(settings):
    (settings / "slurm.conf").write_text("ClusterName=ours\n")
    assert f"{settings / 'slurm.conf'} is there already and not of these tests" in slurm.obstacle()


def test_what_an_earlier_run_of_the_tests_left_is_no_obstacle(settings):
    (settings / "slurm.conf").write_text(slurm.OURS)
    assert slurm.obstacle() is None


def test_what_to_install_is_said(settings, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert "apt-get install --no-install-recommends slurm-wlm" in slurm.obstacle()


def test_another_user_than_root_is_told(settings, monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert "needs root" in slurm.obstacle()
