from dataclasses import replace

import pytest
import torch

from stereozero.errors import InputError
from stereozero.trajectory import Trajectory, load_trajectory, save_trajectory


@pytest.fixture
def trajectory() -> Trajectory:
    return Trajectory(torch.randn(4, 4, 6, 2, 3), torch.tensor([999, 500, 100]), "512", range(1, 5))


def test_it_survives_the_disk_exactly_and_has_the_same_bytes_each_time(tmp_path, trajectory):
    for name in "abcdef":
        save_trajectory(tmp_path / name, trajectory)
    again = load_trajectory(tmp_path / "a")
    assert torch.equal(again.latents, trajectory.latents)
    assert torch.equal(again.timesteps, trajectory.timesteps)
    assert (again.backbone, again.kept, again.steps) == ("512", range(1, 5), 3)
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"latents": torch.zeros(3, 4, 6, 2, 3)}, r"float32 \(S \+ 1, C, F, h, w\) for S = 3 steps"),
        ({"latents": torch.zeros(4, 4, 6, 2, 3, dtype=torch.float16)}, r"not torch\.float16"),
        ({"kept": range(1, 7)}, r"range\(1, 7\) of a trajectory of 6 frames"),
        ({"kept": range(0)}, "can't be kept"),
    ],
)
def test_what_is_no_trajectory_is_not_written(tmp_path, trajectory, change, message):
    with pytest.raises(InputError, match=message):
        save_trajectory(tmp_path / "a", replace(trajectory, **change))
    assert not (tmp_path / "a").exists()


def test_missing_truncated_and_foreign_files(tmp_path, trajectory):
    with pytest.raises(InputError, match="the stage 'generate' writes it"):
        load_trajectory(tmp_path / "a")
    save_trajectory(tmp_path / "a", trajectory)
    whole = (tmp_path / "a").read_bytes()
    for content in (whole[:-10], whole[:20], b"", whole.replace(b'"trajectory"', b'"something!"')):
        (tmp_path / "a").write_bytes(content)
        with pytest.raises(InputError, match="is truncated or no trajectory"):
            load_trajectory(tmp_path / "a")
