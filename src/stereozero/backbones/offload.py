"""Model offload: networks that take turns on a device that can't hold them all."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn


class Offload:
    """Puts the networks in use on a device and keeps the others in the host's memory.

    The parameters in the host's memory stay where they are (mapped files stay mapped): bringing a network copies it to
    the device, sending it back only drops that copy. For networks that are not trained meanwhile.

    Args:
        networks: name -> network; all in the host's memory now.
        device: where networks compute.
    """

    def __init__(self, networks: Mapping[str, nn.Module], device: torch.device | str):
        self.device = torch.device(device)
        self._homes = {name: [(tensor, tensor.data) for tensor in _tensors(net)] for name, net in networks.items()}
        self._present: frozenset[str] = frozenset()

    def bring(self, *names: str) -> None:
        """Have these networks on the device and no others."""
        wanted = frozenset(names)
        for name in self._present - wanted:
            for tensor, home in self._homes[name]:
                tensor.data = home
        for name in wanted - self._present:
            for tensor, home in self._homes[name]:
                tensor.data = home.to(self.device, copy=True)
        self._present = wanted


def _tensors(network: nn.Module) -> Iterable[Tensor]:
    yield from network.parameters()
    yield from network.buffers()
