"""The trajectory stage: latents that a given or rendered video could have come from."""

import numpy as np
import pytest
import torch

from stereozero.backbones.dynamicrafter import DynamiCrafter
from stereozero.diffusion.schedule import ddim_schedule
from stereozero.errors import StageError
from stereozero.plan import Plan, resolve
from stereozero.stages.depth import DEPTH
from stereozero.stages.inputs import INPUTS
from stereozero.stages.trajectory import TRAJECTORY
from stereozero.stages.world import WORLD
from stereozero.trajectory import Trajectory, load_trajectory
from stereozero.video import read_video

SIZE = (32, 48)

pytestmark = pytest.mark.usefixtures("as_in_a_new_process")


def run(config: dict) -> Plan:
    plan = resolve(config, "config.yaml")
    for stage in (INPUTS, WORLD, DEPTH, TRAJECTORY):
        for variant in stage.variants(plan):
            stage.run(plan, variant, stage.clips(plan, variant))
    return plan


def trajectory(plan: Plan, how: str, clip_id: str) -> Trajectory:
    return load_trajectory(plan.paths.given_trajectory(how, clip_id) / "trajectory.safetensors")


def encoded(model: DynamiCrafter, plan: Plan, clip_id: str, numbers: list[int]) -> torch.Tensor:
    """Latents (C, F, h, w) of some of a clip's frames."""
    frames = read_video(plan.paths.source_video(plan.clip(clip_id))).frames[numbers]
    return model.encode_video(torch.from_numpy(frames).permute(0, 3, 1, 2)[None].float() / 255, [123])[0]


def video(frames: int, height: int = SIZE[0]) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (frames, height, SIZE[1], 3), dtype=np.uint8)


def disparity(frames: int, height: int = SIZE[0]) -> np.ndarray:
    return np.random.default_rng(6).random((frames, height, SIZE[1]), dtype=np.float32)


@pytest.fixture
def both_ways(stereo_config) -> dict:
    """Return a configuration whose methods need both kinds of trajectory."""
    method = stereo_config["methods"]["ours"]
    return {**stereo_config, "methods": {how: {**method, "trajectory": how} for how in ("noised", "inverted")}}


def test_both_ways_end_at_the_encoded_video_and_begin_with_noise(both_ways, tiny_model):
    plan = run(both_ways)
    model = DynamiCrafter.from_pretrained(tiny_model)
    assert TRAJECTORY.variants(plan) == ("noised", "inverted")
    clean = encoded(model, plan, "w1", [0, 1, 2, 3])
    for how in ("noised", "inverted"):
        one = trajectory(plan, how, "w1")
        assert (one.backbone, one.kept, one.timesteps.tolist()) == ("512", range(4), [999, 666, 332])
        assert one.latents.shape == (4, 4, 4, 8, 12)
        torch.testing.assert_close(one.latents[-1], clean, rtol=0, atol=1e-5)
        assert one.latents.isfinite().all()
    noised, inverted = (trajectory(plan, how, "w1").latents for how in ("noised", "inverted"))
    assert float(noised[0].std()) == pytest.approx(1, abs=0.1)
    assert not torch.equal(noised[0], inverted[0])


def test_one_noise_carries_the_video_to_every_step(stereo_config, tiny_model):
    plan = run(stereo_config)
    model = DynamiCrafter.from_pretrained(tiny_model)
    schedule = ddim_schedule(model.schedule, 3, spacing=model.spacing)
    for clip_id in ("w1", "w2"):
        latents = trajectory(plan, "noised", clip_id).latents
        for step in (1, 2):
            alpha_bar, scale = float(schedule.alpha_bar[step]), float(schedule.scale[step])
            expected = alpha_bar**0.5 * scale * latents[-1] + (1 - alpha_bar) ** 0.5 * latents[0]
            torch.testing.assert_close(latents[step], expected, rtol=0, atol=1e-5)
    first, second = (trajectory(plan, "noised", clip_id).latents[0] for clip_id in ("w1", "w2"))
    assert torch.equal(first, second)  # clips of one seed have one noise


@pytest.mark.parametrize("how", ["noised", "inverted"])
def test_the_same_seed_gives_the_same_bytes_and_another_one_other_noise(both_ways, world_rows, write_manifest, how):
    both_ways["methods"] = {how: both_ways["methods"][how]}
    files = [run({**both_ways, "run": name}).paths.given_trajectory(how, "w2") for name in ("one", "two")]
    first, second = ((folder / "trajectory.safetensors").read_bytes() for folder in files)
    assert first == second
    world_rows[1]["seed"] = "7"
    write_manifest(*world_rows)
    reseeded = trajectory(run({**both_ways, "run": "three"}), how, "w2")
    assert not torch.equal(reseeded.latents[0], load_trajectory(files[0] / "trajectory.safetensors").latents[0])


@pytest.mark.parametrize(("frames", "windows"), [(6, [[0, 1, 2, 3], [2, 3, 4, 5]]), (2, [[0, 1, 1, 1]])])
def test_windows_lie_one_behind_the_other(given_config, tiny_model, frames, windows):
    plan = run(given_config(video(frames), disparity(frames)))
    one = trajectory(plan, "noised", "given")
    assert one.latents.shape == (4, 4, 4 * len(windows), 8, 12)
    model = DynamiCrafter.from_pretrained(tiny_model)
    for numbers, part in zip(windows, one.latents[-1].split(4, dim=1), strict=True):
        torch.testing.assert_close(part, encoded(model, plan, "given", numbers), rtol=0, atol=1e-5)


def test_windows_have_noise_of_their_own(given_config):
    first, second = trajectory(run(given_config(video(8), disparity(8))), "noised", "given").latents[0].split(4, dim=1)
    assert not torch.equal(first, second)


def test_a_size_that_the_networks_can_not_halve_is_refused(given_config):
    message = r"clip 'given': source video: 36 x 48 pixels \(height x width\); both must be multiples of 8"
    with pytest.raises(StageError, match=message):
        run(given_config(video(4, 36), disparity(4, 36)))


def test_only_clips_that_a_method_samples_get_a_trajectory(stereo_config):
    plan = resolve({**stereo_config, "methods": {"mono-copy": {"kind": "mono-copy"}}}, "config.yaml")
    assert TRAJECTORY.variants(plan) == ()
    assert TRAJECTORY.clips(plan, "noised") == []
