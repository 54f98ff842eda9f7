import torch
from torch import nn

from stereozero.backbones.offload import Offload


def networks() -> dict[str, nn.Module]:
    return {name: nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)) for name in ("a", "b")}


def addresses(network: nn.Module) -> set[int]:
    return {tensor.data_ptr() for tensor in (*network.parameters(), *network.buffers())}


def test_a_network_in_use_is_a_copy_and_comes_back_to_its_own_memory():
    nets = networks()
    home = {name: addresses(net) for name, net in nets.items()}
    value = nets["a"](torch.ones(3, 2))
    offload = Offload(nets, "cpu")  # stands for a GPU: what is brought there is told from what is not by its address
    offload.bring("a")
    assert addresses(nets["a"]).isdisjoint(home["a"])
    assert addresses(nets["b"]) == home["b"]
    assert torch.equal(nets["a"](torch.ones(3, 2)), value)
    there = addresses(nets["a"])
    offload.bring("a")
    assert addresses(nets["a"]) == there  # it is not copied anew for every evaluation
    offload.bring("b")
    assert addresses(nets["a"]) == home["a"]
    assert addresses(nets["b"]).isdisjoint(home["b"])


def test_parameters_stay_the_same_objects():
    nets = networks()
    before = list(nets["a"].parameters())
    Offload(nets, "cpu").bring("a", "b")
    assert all(one is other for one, other in zip(before, nets["a"].parameters(), strict=True))
