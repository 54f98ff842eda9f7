from pathlib import Path

import numpy as np
import pytest
import torch
from parity import assert_equals_reference

from stereozero.depth.flow import DisFlow, Flow
from stereozero.depth.propagation import (
    _sample,
    fill_gaps,
    flow_mismatch,
    occluded,
    propagate,
    propagate_from,
    propagate_reference,
    splat,
)
from stereozero.errors import InputError
from stereozero.world import render_clip, sample_scene

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "stereo" / "propagation.npz")
SCENES = [("simple", 1), ("simple", 2), ("simple", 3), ("complex", 1), ("complex", 2), ("complex", 3)]


def golden(name: str) -> torch.Tensor:
    return torch.from_numpy(GOLDEN[name])


def golden_maps() -> torch.Tensor:
    return golden("depth")[:, 0].float() / 255


def golden_flow() -> Flow:
    return Flow(golden("flow_forward"), golden("flow_backward"))


def world_clip(kind: str, seed: int) -> tuple[torch.Tensor, Flow, torch.Tensor]:
    """Return a world clip's true disparity (8, 64, 96), its true flow and its frames (8, 3, 64, 96)."""
    clip = render_clip(sample_scene(kind, seed), frames=8, height=64, width=96)
    flow = Flow(*(torch.tensor(field).movedim(-1, 1) for field in (clip.flow, clip.backward_flow)))
    return torch.tensor(clip.disparity), flow, torch.tensor(clip.left).movedim(-1, 1)


@pytest.fixture(scope="module")
def world() -> list[tuple[torch.Tensor, Flow, torch.Tensor]]:
    return [world_clip(kind, seed) for kind, seed in SCENES]


def mean_error(result: torch.Tensor, truth: torch.Tensor) -> float:
    return float((result - truth).abs().mean())


def flicker(maps: torch.Tensor, flow: Flow) -> float:
    """Return how much the value of a visible point changes from frame to frame, on average."""
    before = _sample(maps[:-1, None], flow.backward)[:, 0]
    visible = ~occluded(flow.backward, flow.forward, 0.1)
    return float((maps[1:] - before).abs()[visible].mean())


# The released code's numbers


@pytest.mark.parametrize("t", range(4))
def test_golden_splat(t):
    depth = golden("depth")[:, 0].float()
    flow = golden("flow_forward")[t]
    assert torch.equal(splat(depth[t], flow), golden("warp_forward")[t, 0].float())
    assert torch.equal(splat(depth[t], -flow), golden("warp_backward")[t, 0].float())


@pytest.mark.parametrize("threshold", [1, 0.5])
def test_golden_occlusion(threshold):
    mismatch = flow_mismatch(*golden_flow())
    assert torch.equal(mismatch > threshold, golden(f"occlusion_thr{threshold}")[:, 0])


def test_golden_gap_filling():
    warped, first, second = (golden(f"restore_{name}")[0, 0] for name in ("in_warped", "prev0", "prev1"))
    assert torch.equal(fill_gaps(warped, [first, second]), golden("restore_out")[0, 0])


@pytest.mark.parametrize("start", range(5))
def test_golden_from_one_frame(start):
    result = propagate_from(start, golden_maps(), golden("flow_forward"))
    assert torch.equal(result, golden(f"propagate_init{start}")[0, :, 0])


@pytest.mark.parametrize(
    ("name", "flow", "interval"),
    [
        ("propagate_all", "flow_forward", 1),
        ("propagate_all_interval2", "flow_forward", 2),
        ("propagate_all_halfflow", "flow_half", 1),
    ],
)
def test_golden_mean(name, flow, interval):
    result = propagate_reference(golden_maps(), Flow(golden(flow), -golden(flow)), interval)
    assert_equals_reference(result, golden(name)[0, :, 0], 1e-6)


# The paper's


def test_the_sum_of_all_starts_is_the_mean_of_each(world):
    maps, flow, _ = world[5]
    weighted, weights = torch.zeros_like(maps), torch.zeros_like(maps)
    for start in range(len(maps)):
        carried = {start: torch.stack([maps[start], torch.ones(64, 96)])}
        for t in range(start + 1, len(maps)):
            visible = ~occluded(flow.backward[t - 1 : t], flow.forward[t - 1 : t], 0.096)
            carried[t] = _sample(carried[t - 1][None], flow.backward[t - 1 : t])[0] * visible
        for t in range(start - 1, -1, -1):
            visible = ~occluded(flow.forward[t : t + 1], flow.backward[t : t + 1], 0.096)
            carried[t] = _sample(carried[t + 1][None], flow.forward[t : t + 1])[0] * visible
        for t, (value, weight) in carried.items():
            weighted[t] += value
            weights[t] += weight
    torch.testing.assert_close(propagate(maps, flow), weighted / weights, rtol=0, atol=1e-5)


def test_constant_maps_stay_constant(world):
    _, flow, _ = world[3]
    torch.testing.assert_close(propagate(torch.full((8, 64, 96), 0.3), flow), torch.full((8, 64, 96), 0.3))


def test_without_motion_it_is_the_mean_over_time():
    maps = torch.rand(5, 6, 7, generator=torch.Generator().manual_seed(0))
    still = Flow(torch.zeros(4, 2, 6, 7), torch.zeros(4, 2, 6, 7))
    torch.testing.assert_close(propagate(maps, still), maps.mean(0).expand(5, -1, -1))


def test_a_moving_edge_stays_sharp():
    maps = torch.zeros(4, 8, 24)
    forward, backward = torch.zeros(3, 2, 8, 24), torch.zeros(3, 2, 8, 24)
    for t in range(4):
        maps[t, :, 4 + 2 * t : 12 + 2 * t] = 1  # a block that moves by two pixels a frame in front of a still ground
    forward[:, 0] = 2 * maps[:-1]
    backward[:, 0] = -2 * maps[1:]
    torch.testing.assert_close(propagate(maps, Flow(forward, backward)), maps, rtol=0, atol=1e-5)


def test_true_flow_keeps_true_disparity(world):
    errors = [mean_error(propagate(maps, flow), maps) for maps, flow, _ in world]
    released = [mean_error(propagate_reference(maps, flow), maps) for maps, flow, _ in world]
    assert np.mean(errors) < 0.004  # of the clip's whole range; what is left is motion towards the camera, and edges
    assert np.mean(released) > 5 * np.mean(errors)


def test_a_tolerance_in_pixels_would_be_too_much_for_small_frames(world):
    errors = [mean_error(propagate(maps, flow), maps) for maps, flow, _ in world]
    loose = [mean_error(propagate(maps, flow, tolerance=100 / 96), maps) for maps, flow, _ in world]  # 1 px
    assert np.mean(loose) > 3 * np.mean(errors)


def test_it_takes_flicker_away(world):
    generator = torch.Generator().manual_seed(0)
    before, after = [], []
    for maps, flow, _ in world:
        shaky = maps * (0.8 + 0.4 * torch.rand(8, 1, 1, generator=generator))
        steady = propagate(shaky, flow)
        assert flicker(steady, flow) < 0.2 * flicker(shaky, flow)
        before.append(mean_error(shaky, maps))
        after.append(mean_error(steady, maps))
    assert np.mean(after) < 0.7 * np.mean(before)


def test_estimated_flow_does_little_harm(world):
    for maps, _, video in world:
        assert mean_error(propagate(maps, DisFlow().estimate(video)), maps) < 0.03


def test_hidden_pixels_are_found(world):
    maps, flow, _ = world[2]
    hidden = occluded(flow.forward, flow.backward, 0.1)
    assert 0.005 < hidden.float().mean() < 0.1
    moved = _sample(maps[1:, None], flow.forward)[:, 0]
    change = (moved - maps[:-1]).abs()
    assert change[hidden].mean() > 10 * change[~hidden].mean()


def test_one_frame_comes_back():
    maps = torch.rand(1, 6, 7)
    none = Flow(torch.zeros(0, 2, 6, 7), torch.zeros(0, 2, 6, 7))
    assert torch.equal(propagate(maps, none), maps)
    assert torch.equal(propagate_reference(maps, none), maps)


def test_two_frames():
    maps = torch.stack([torch.zeros(6, 7), torch.ones(6, 7)])
    still = Flow(torch.zeros(1, 2, 6, 7), torch.zeros(1, 2, 6, 7))
    assert torch.equal(propagate(maps, still), torch.full((2, 6, 7), 0.5))
    gone = Flow(torch.full((1, 2, 6, 7), 50.0), torch.full((1, 2, 6, 7), -50.0))
    assert torch.equal(propagate(maps, gone), maps)


def test_no_argument_is_changed(world):
    maps, flow, _ = world[0]
    before = maps.clone(), flow.forward.clone(), flow.backward.clone()
    propagate(maps, flow)
    propagate_reference(maps, flow)
    assert all(torch.equal(*pair) for pair in zip(before, (maps, *flow), strict=True))


@pytest.mark.parametrize(
    ("maps", "forward", "message"),
    [
        (torch.zeros(4, 5), torch.zeros(3, 2, 4, 5), r"the maps have shape \(4, 5\); \(F, H, W\) is right"),
        (torch.full((2, 4, 5), torch.nan), torch.zeros(1, 2, 4, 5), "the map of frame 0 has values that are NaN"),
        (torch.zeros(2, 4, 5), torch.zeros(2, 2, 4, 5), r"forward flow has shape .*; 2 frames need \(1, 2, H, W\)"),
        (torch.zeros(2, 4, 5), torch.full((1, 2, 4, 5), torch.inf), "forward flow has values that are NaN or infinite"),
        (torch.zeros(2, 4, 5), torch.zeros(1, 2, 8, 5), "forward flow is 8 x 5 pixels, the maps are 4 x 5; estimate"),
    ],
)
def test_refused(maps, forward, message):
    with pytest.raises(InputError, match=message):
        propagate(maps, Flow(forward, torch.zeros(1, 2, 4, 5)))


@pytest.mark.parametrize("tolerance", [0, -1, float("nan")])
def test_refused_tolerance(tolerance):
    with pytest.raises(InputError, match=r"tolerance is .*; give a number above 0 \(percent of the width\)"):
        propagate(torch.zeros(1, 4, 5), Flow(torch.zeros(0, 2, 4, 5), torch.zeros(0, 2, 4, 5)), tolerance)


@pytest.mark.parametrize("interval", [0, 6])
def test_refused_interval(interval):
    with pytest.raises(
        InputError, match=rf"interval is {interval}; it must lie in 1 \.\.\. 5 \(the frames there are\)"
    ):
        propagate_reference(golden_maps(), golden_flow(), interval)
