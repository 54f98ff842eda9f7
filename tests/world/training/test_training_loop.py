"""The training loop: what it learns, and that it goes on exactly where it was interrupted."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from stereozero.errors import InputError
from stereozero.world.training.checkpoints import read_checkpoint, write_checkpoint
from stereozero.world.training.loop import CHECKPOINT, LOSSES, Optimisation, Training
from stereozero.world.training.muon import orthogonal
from stereozero.world.training.report import read_losses

HOW = Optimisation(rate=0.1, warmup=2)


class Line:
    """Fits a small network to a straight line, with noise as random as in the real trainings."""

    def __init__(self, width: int = 8):
        torch.manual_seed(1)
        self.module = nn.Sequential(nn.Linear(2, width), nn.Tanh(), nn.Linear(width, 1))
        self.settings = {"width": width}

    def losses(self, step: int) -> dict[str, torch.Tensor]:
        points = torch.randn(32, 2)
        wanted = points @ torch.tensor([[1.0], [-2.0]])
        return {"loss": (self.module(points) - wanted).square().mean()}


def test_the_loss_falls_and_is_logged(tmp_path):
    Training(Line(), HOW, tmp_path).run(100)
    table = read_losses(tmp_path / LOSSES)
    assert table["step"].tolist() == [20, 40, 60, 80, 100]
    assert table["loss"][-1] < 0.3 * table["loss"][0]


def test_an_interrupted_training_ends_with_the_same_weights(tmp_path):
    whole = Training(Line(), HOW, tmp_path / "whole").run(50)
    training = Training(Line(), HOW, tmp_path / "cut")
    for _ in range(30):
        training._take_step(50)
    training.save()
    training._take_step(50)  # lost: it was not saved
    resumed = Training(Line(), HOW, tmp_path / "cut")
    assert resumed.step == 30
    again = resumed.run(50)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), again.parameters(), strict=True))


def test_lines_of_steps_that_are_taken_again_are_dropped(tmp_path):
    training = Training(Line(), HOW, tmp_path)
    training.run(40)
    table = tmp_path / LOSSES
    table.write_text(table.read_text() + "60,9.9,0.5\n")  # logged, but not saved before the interruption
    Training(Line(), HOW, tmp_path).run(60)
    assert read_losses(table)["step"].tolist() == [20, 40, 60]
    assert read_losses(table)["seconds"][-1] != 9.9


def test_a_finished_training_is_left_as_it_is(tmp_path):
    Training(Line(), HOW, tmp_path).run(20)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    Training(Line(), HOW, tmp_path).run(10)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_checkpoint_of_other_settings_is_refused(tmp_path):
    Training(Line(8), HOW, tmp_path).run(1)
    with pytest.raises(InputError, match="width: 8 there, 4 now"):
        Training(Line(4), HOW, tmp_path)


def test_a_failed_write_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    Training(Line(), HOW, tmp_path).run(5)
    path = tmp_path / CHECKPOINT
    state = read_checkpoint(path)

    def half_written(parts, temporary):
        temporary.write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(torch, "save", half_written)
    with pytest.raises(OSError, match="no space"):
        write_checkpoint(path, replace(state, step=6))
    assert read_checkpoint(path).step == 5
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".")] == []


@pytest.mark.parametrize("damage", [b"", b"no archive"], ids=["empty", "text"])
def test_a_damaged_checkpoint_is_named(tmp_path, damage):
    (tmp_path / CHECKPOINT).write_bytes(damage)
    with pytest.raises(InputError, match="is damaged"):
        Training(Line(), HOW, tmp_path)


def test_the_rate_rises_stays_and_falls_to_nothing():
    how = Optimisation(rate=1.0, warmup=9, fall=0.5)
    rates = [how.rate_at(step, 100) for step in (0, 9, 49, 75, 99, 100)]
    assert rates == pytest.approx([0.1, 1, 1, 0.5, 0.02, 0])


@pytest.mark.parametrize("shape", [(6, 20), (20, 6)])
def test_muon_brings_singular_values_to_about_one(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonal(matrix))
    assert values.min() > 0.6
    assert values.max() < 1.3
