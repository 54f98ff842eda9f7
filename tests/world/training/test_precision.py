"""Which devices trainings compute in bfloat16 on."""

import pytest
import torch

from stereozero.world.training.precision import autocast, computes_bfloat16

CPU = torch.device("cpu")


@pytest.mark.parametrize(("capability", "computes"), [("AVX512", True), ("AVX2", False), ("DEFAULT", False)])
def test_bfloat16_is_used_on_cpus_that_compute_in_it(monkeypatch, capability, computes):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert computes_bfloat16(CPU) == computes
    with autocast(CPU, bfloat16=True):
        made = torch.nn.Linear(4, 4)(torch.ones(1, 4))
    assert made.dtype == (torch.bfloat16 if computes else torch.float32)


def test_bfloat16_is_not_used_where_it_is_not_wanted(monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    with autocast(CPU, bfloat16=False):
        assert torch.nn.Linear(4, 4)(torch.ones(1, 4)).dtype == torch.float32
