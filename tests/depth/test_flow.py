import pytest
import torch
from torchvision.models.optical_flow import raft_small

from stereozero.depth.flow import DisFlow, Flow, RaftFlow, flow_estimator, half_size_flow, raft_size, resize_flow
from stereozero.errors import InputError
from stereozero.world import render_clip, sample_scene


@pytest.fixture(scope="module")
def raft_file(tmp_path_factory):
    """Return a file of RAFT's layout with random weights: good for loading and sizes, not for results."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("raft") / "raft_small.pth"
    torch.save(raft_small(weights=None).state_dict(), path)
    return path


def shifted_texture(frames: int, dx: int, dy: int) -> torch.Tensor:
    """Return a smooth random picture that moves by (dx, dy) pixels a frame: (F, 3, 64, 80)."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, 30, 30, generator=generator)
    large = torch.nn.functional.interpolate(coarse, size=(120, 120), mode="bicubic").clamp(0, 1)[0]
    return torch.stack(
        [large[:, 20 - dy * t : 84 - dy * t, 20 - dx * t : 100 - dx * t] for t in range(frames)]
    )  # (F, 3, 64, 80)


def test_dis_finds_a_shift():
    flow = DisFlow().estimate(shifted_texture(3, 3, -2))
    assert flow.forward.shape == flow.backward.shape == (2, 2, 64, 80)
    inner = (..., slice(12, -12), slice(12, -12))
    for field, direction in ((flow.forward, 1), (flow.backward, -1)):
        expected = direction * torch.tensor([3.0, -2.0]).reshape(1, 2, 1, 1)
        assert (field - expected)[inner].abs().median() < 0.1
        assert (field - expected)[inner].abs().mean() < 0.3


def test_flow_of_half_the_size_keeps_its_short_vectors():
    flow = half_size_flow(DisFlow(), shifted_texture(3, 4, -2))
    assert flow.forward.shape == flow.backward.shape == (2, 2, 64, 80)
    inner = flow.forward[..., 12:-12, 12:-12]
    assert (inner - torch.tensor([2.0, -1.0]).reshape(1, 2, 1, 1)).abs().median() < 0.1
    assert torch.equal(flow.forward[..., ::2, ::2], flow.forward[..., 1::2, 1::2])  # nearest
    assert half_size_flow(DisFlow(), shifted_texture(1, 0, 0)).forward.shape == (0, 2, 64, 80)


def test_dis_on_the_world():
    clip = render_clip(sample_scene("simple", 1), frames=4, height=128, width=192)
    estimate = DisFlow().estimate(torch.tensor(clip.left).movedim(-1, 1))
    for field, truth in ((estimate.forward, clip.flow), (estimate.backward, clip.backward_flow)):
        truth = torch.tensor(truth).movedim(-1, 1)
        error = torch.linalg.vector_norm(field - truth, dim=1)
        assert error.median() < 0.15
        assert error.mean() < 0.8 * torch.linalg.vector_norm(truth, dim=1).mean()


def test_dis_does_not_depend_on_what_came_before():
    video = shifted_texture(3, 3, -2)
    both, last = DisFlow().estimate(video), DisFlow().estimate(video[1:])
    assert torch.equal(both.forward[1:], last.forward)
    assert torch.equal(both.backward[1:], last.backward)


@pytest.mark.parametrize("estimator", ["dis", "raft"])
def test_one_frame_has_no_flow(estimator, raft_file):
    flow = DisFlow() if estimator == "dis" else RaftFlow("raft_small", raft_file)
    result = flow.estimate(shifted_texture(1, 0, 0))
    assert isinstance(result, Flow)
    assert result.forward.shape == result.backward.shape == (0, 2, 64, 80)


def test_dis_refuses_tiny_frames():
    with pytest.raises(InputError, match=r"'dis' needs frames of 16 x 16 pixels at least, these are 12 x 40"):
        DisFlow().estimate(torch.rand(2, 3, 12, 40))


def test_a_constant_video_is_refused():
    with pytest.raises(InputError, match="all 2 frames are of one colour"):
        DisFlow().estimate(torch.full((2, 3, 32, 32), 0.5))


@pytest.mark.parametrize(
    ("size", "expected"),
    [((320, 512), (320, 512)), ((576, 1024), (576, 1024)), ((250, 333), (256, 336)), ((64, 96), (128, 192))],
)
def test_raft_size(size, expected):
    assert raft_size(*size) == expected


def test_raft_reads_a_file_and_keeps_the_size(raft_file):
    flow = flow_estimator("raft_small", checkpoint=raft_file).estimate(shifted_texture(2, 1, 0)[..., :61])
    assert flow.forward.shape == flow.backward.shape == (1, 2, 64, 61)
    assert flow.forward.dtype == torch.float32
    assert flow.forward.isfinite().all()


def test_raft_gives_pixels_of_the_frames(raft_file):
    estimator = RaftFlow("raft_small", raft_file)
    seen = []

    def network(first, second):
        seen.append(first)
        return [torch.zeros(1, 2, 128, 192), torch.tensor([4.0, 8.0]).reshape(1, 2, 1, 1).expand(1, 2, 128, 192)]

    estimator.network = network
    flow = estimator.estimate(torch.rand(2, 3, 64, 96))
    assert torch.equal(flow.forward, torch.tensor([2.0, 4.0]).reshape(1, 2, 1, 1).expand(1, 2, 64, 96))
    assert seen[0].shape == (1, 3, 128, 192)
    assert -1 <= seen[0].min() < -0.5  # RAFT takes [-1, 1]
    assert 0.5 < seen[0].max() <= 1


def test_resize_flow_scales_each_axis():
    flow = torch.ones(1, 2, 10, 20)
    resized = resize_flow(flow, 30, 40)
    assert resized.shape == (1, 2, 30, 40)
    assert torch.equal(resized[:, 0], torch.full((1, 30, 40), 2.0))
    assert torch.equal(resized[:, 1], torch.full((1, 30, 40), 3.0))


def test_an_unknown_name():
    with pytest.raises(InputError, match="flow: there is no estimator 'raft_larg'; did you mean 'raft_large'"):
        flow_estimator("raft_larg")


def test_missing_weights(tmp_path):
    with pytest.raises(InputError, match=r"no checkpoint at .*none\.pth"):
        flow_estimator("raft_large", checkpoint=tmp_path / "none.pth")
    with pytest.raises(InputError, match="raft_large needs a file with its weights; take the flow 'dis'"):
        flow_estimator("raft_large")


def test_a_file_of_another_model(tmp_path, raft_file):
    with pytest.raises(InputError, match=r"raft_small\.pth does not fit the model:\n  \d+ missing"):
        RaftFlow("raft_large", raft_file)
    junk = tmp_path / "junk.pth"
    junk.write_text("<html>")
    with pytest.raises(InputError, match=r"junk\.pth \(6 bytes\) is neither a PyTorch checkpoint"):
        RaftFlow("raft_small", junk)
