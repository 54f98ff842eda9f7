import pytest
import torch

from stereozero.depth.estimate_file import load_estimate, load_latents, save_estimate, save_latents
from stereozero.depth.estimator import DepthEstimate, DepthKind
from stereozero.errors import InputError

VALUES = torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "estimate",
    [DepthEstimate(VALUES, DepthKind.INVERSE), DepthEstimate(VALUES, DepthKind.METRIC, torch.tensor([50.0, 60.0]))],
)
def test_an_estimate_survives_the_disk_in_the_same_bytes(tmp_path, estimate):
    for name in ("a", "b"):
        save_estimate(tmp_path / name, estimate)
    again = load_estimate(tmp_path / "a")
    assert torch.equal(again.values, VALUES)
    assert again.kind is estimate.kind
    focal_length = again.focal_length
    assert torch.equal(focal_length, estimate.focal_length) if estimate.kind is DepthKind.METRIC else not focal_length
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_latents_survive_the_disk(tmp_path):
    save_latents(tmp_path / "l", VALUES[None].transpose(1, 3))
    assert torch.equal(load_latents(tmp_path / "l"), VALUES[None].transpose(1, 3))


def test_other_files_are_refused(tmp_path):
    save_latents(tmp_path / "l", VALUES)
    with pytest.raises(InputError, match=r"l: has no tensor 'values', only \['latents'\]; make it again"):
        load_estimate(tmp_path / "l")
    (tmp_path / "l").write_bytes((tmp_path / "l").read_bytes()[:50])
    with pytest.raises(InputError, match="can't be read as safetensors"):
        load_latents(tmp_path / "l")
