"""RAFT's flow, and sampling at it, against torchvision and by hand."""

import pytest
import torch
from met3r_goldens import squashed
from torchvision.models.optical_flow import raft_large

from stereozero.errors import InputError
from stereozero.metrics.met3r.raft import PairRaft, sample_at_flow


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return raft_large(weights=None).eval()


@pytest.fixture
def images():
    return squashed("input:raft", (1, 2, 3, 128, 136))


def test_a_saved_raft_gives_torchvisions_flow(tmp_path, network, images):
    torch.save(network.state_dict(), tmp_path / "raft.pth")
    flow = PairRaft.from_official(tmp_path / "raft.pth").predict_flow(images)
    with torch.no_grad():
        expected = network(images[:, 0], images[:, 1])[-1]
    assert flow.shape == (1, 2, 128, 136)
    assert torch.equal(flow, expected)


def test_keys_are_compared_strictly(tmp_path, network):
    state = network.state_dict() | {"extra": torch.zeros(1)}
    del state["mask_predictor.conv.bias"]
    torch.save(state, tmp_path / "raft.pth")
    with pytest.raises(InputError, match=r"1 missing: mask_predictor\.conv\.bias\n  1 unexpected: extra"):
        PairRaft.from_official(tmp_path / "raft.pth")


@pytest.mark.parametrize("size", [(120, 128), (128, 132)])
def test_images_of_another_size(network, size):
    with pytest.raises(InputError, match="sides are multiples of 8 of at least 128"):
        PairRaft(network).predict_flow(torch.zeros(1, 2, 3, *size))


def test_sampling_fetches_what_moved():
    values = torch.arange(48.0).reshape(1, 1, 6, 8)
    flow = torch.zeros(1, 2, 6, 8)
    flow[:, 0], flow[:, 1] = 2.5, 1.0  # to the right and down
    sampled, inside = sample_at_flow(values, flow)
    assert torch.allclose(sampled[0, 0, :5, :5], values[0, 0, 1:, 2:7] + 0.5, atol=1e-4)
    assert torch.allclose(sampled[0, 0, 5, 7], values[0, 0, 5, 7])  # beyond the corner: the corner
    assert torch.equal(inside[0, 0], (torch.arange(6)[:, None] < 5) & (torch.arange(8) < 5))
