"""The stereo stage, on a tiny model of named tensors: what it leaves for every kind of clip, and bad input."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from stereozero.artifacts import read_record
from stereozero.backbones.dynamicrafter import DynamiCrafter
from stereozero.baselines.warp_fill import warp_fill
from stereozero.disparity_io import load_disparity, save_disparity
from stereozero.errors import InputError, StageError
from stereozero.plan import Plan, resolve
from stereozero.stages.baseline import BASELINE
from stereozero.stages.depth import DEPTH
from stereozero.stages.generate import GENERATE
from stereozero.stages.inputs import INPUTS
from stereozero.stages.stereo import STEREO
from stereozero.stages.trajectory import TRAJECTORY
from stereozero.stages.world import TRUTH, WORLD
from stereozero.trajectory import load_trajectory, save_trajectory
from stereozero.video import read_mask, read_video, to_uint8

SIZE = (32, 48)
FILES = ("target.mkv", "blank.mkv", "latents.safetensors")

pytestmark = pytest.mark.usefixtures("as_in_a_new_process")


def run(plan: Plan, *stages, clips=None) -> Plan:
    for stage in stages:
        for variant in stage.variants(plan):
            stage.run(plan, variant, stage.clips(plan, variant) if clips is None else clips)
    return plan


def prepared(config: dict) -> Plan:
    """Return a plan with all that the stereo stage needs on disk."""
    return run(resolve(config, "config.yaml"), INPUTS, WORLD, DEPTH, TRAJECTORY)


def sampled(config: dict, *clip_ids: str) -> Plan:
    plan = prepared(config)
    return run(plan, STEREO, clips=[plan.clip(clip_id) for clip_id in clip_ids] or None)


def target(plan: Plan, clip_id: str, method: str = "ours") -> np.ndarray:
    return read_video(plan.paths.target_video(method, clip_id)).frames


def with_method(config: dict, **changes) -> dict:
    return {**config, "methods": {"ours": {**config["methods"]["ours"], **changes}}}


def put_disparity(plan: Plan, variant: str, clip_id: str, disparity: np.ndarray) -> None:
    """Leave a disparity as a depth variant would."""
    path = plan.paths.disparity(variant, clip_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    (path.parent / "record.json").unlink(missing_ok=True)
    save_disparity(path, disparity)


def put_trajectory(plan: Plan, clip_id: str, **changes) -> None:
    """Change a clip's trajectory on disk."""
    path = plan.trajectory("ours", plan.clip(clip_id))
    trajectory = replace(load_trajectory(path), **changes)
    (path.parent / "record.json").unlink()
    path.unlink()
    save_trajectory(path, trajectory)


def slope(frames: int) -> np.ndarray:
    """Disparity that grows from left to right."""
    return np.broadcast_to(np.linspace(0, 1, SIZE[1], dtype=np.float32), (frames, *SIZE)).copy()


def noisy(frames: int) -> np.ndarray:
    """A video without any regularity, uint8."""
    return np.random.default_rng(5).integers(0, 256, (frames, *SIZE, 3), dtype=np.uint8)


@pytest.mark.parametrize(("strength", "fill"), [(10, "edge-stretch"), (-10, "edge-stretch"), (10, "temporal")])
def test_a_world_clip_becomes_the_warped_source_with_generated_holes(stereo_config, strength, fill):
    plan = sampled(with_method({**stereo_config, "strength": strength}, seam=0, hole_fill=fill), "w1")
    folder, clip = plan.paths.target("ours", "w1"), plan.clip("w1")
    source = read_video(plan.paths.source_video(clip))
    blank = read_mask(folder / "blank.mkv")
    view = read_video(folder / "target.mkv")
    assert (view.fps, view.frames.shape) == (source.fps, source.frames.shape) == (8, (4, *SIZE, 3))
    expected = warp_fill(source.frames, load_disparity(plan.paths.disparity("world", "w1")), strength, fill)
    assert np.array_equal(blank, expected.blank)
    assert 0 < blank.mean() < 0.2
    assert expected.unseen.any() == (fill == "edge-stretch")  # what this clip hides it shows in another frame
    assert np.array_equal(view.frames[~expected.unseen], expected.target[~expected.unseen])
    assert fill == "temporal" or (view.frames != expected.target).any(-1)[expected.unseen].mean() > 0.9
    assert load_file(folder / "latents.safetensors")["latents"].shape == (4, 4, 8, 12)
    assert read_record(folder)["notes"]["blank_share"] == pytest.approx(blank.mean(), abs=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {"preset": "paper"},
        {"preset": "reference", "cross_view_window": None},
        {"warp": "pixel", "condition": "source", "composite": False, "hole_prior": 20},
    ],
    ids=["paper", "reference", "pixel-warp"],
)
def test_without_compositing_every_pixel_is_generated(stereo_config, changes):
    plan = sampled(with_method(stereo_config, **changes), "w1")
    folder = plan.paths.target("ours", "w1")
    view = target(plan, "w1")
    latents = load_file(folder / "latents.safetensors")["latents"]
    assert latents.isfinite().all()
    decoded = DynamiCrafter.from_pretrained(stereo_config["generator"]["folder"]).decode_latents(latents[None])[0]
    expected = to_uint8(decoded.permute(0, 2, 3, 1).numpy())
    assert np.abs(view.astype(int) - expected).max() <= 1


def test_a_prior_to_the_end_is_the_fill_through_the_vae(stereo_config):
    plan = sampled(with_method(stereo_config, hole_prior=50, composite=False), "w1")
    source = read_video(plan.paths.source_video(plan.clip("w1"))).frames
    filled = warp_fill(source, load_disparity(plan.paths.disparity("world", "w1")), 10, "temporal").target
    backbone = DynamiCrafter.from_pretrained(stereo_config["generator"]["folder"])
    latents = backbone.encode_video(
        torch.from_numpy(filled).permute(0, 3, 1, 2)[None] / 255, [plan.seed(plan.clip("w1"))]
    )
    stored = load_file(plan.paths.target("ours", "w1") / "latents.safetensors")["latents"]
    torch.testing.assert_close(stored, latents[0])


def test_both_views_are_those_of_half_the_strength_to_either_side(stereo_config):
    method = stereo_config["methods"]["ours"]
    methods = {
        "both": {**method, "views": "both", "strength": 20},
        "right": {**method, "strength": 10},
        "left": {**method, "strength": -10},
    }
    plan = sampled({**stereo_config, "methods": methods}, "w1")
    source = read_video(plan.paths.target("both", "w1") / "source.mkv").frames
    assert np.array_equal(target(plan, "w1", "both"), target(plan, "w1", "right"))
    assert np.array_equal(source, target(plan, "w1", "left"))
    assert not (plan.paths.target("right", "w1") / "source.mkv").exists()


def test_a_clip_depends_on_its_seed_and_not_on_its_batch(stereo_config, world_rows, write_manifest):
    together = sampled(stereo_config)
    alone = sampled({**stereo_config, "run": "alone"}, "w2")
    for name in FILES:
        first, second = (plan.paths.target("ours", "w2") / name for plan in (together, alone))
        assert first.read_bytes() == second.read_bytes()
    world_rows[1]["seed"] = "7"
    write_manifest(*world_rows)
    reseeded = sampled({**stereo_config, "run": "reseeded"}, "w2")
    first, second = (plan.paths.target("ours", "w2") / FILES[2] for plan in (together, reseeded))
    assert first.read_bytes() != second.read_bytes()


@pytest.mark.parametrize(("count", "windows"), [(6, 2), (3, 1)])
def test_a_given_video_of_another_length_is_sampled_in_windows(given_config, count, windows):
    plan = sampled(given_config(noisy(count), slope(count)))
    folder = plan.paths.target("ours", "given")
    assert target(plan, "given").shape == (count, *SIZE, 3)
    assert read_mask(folder / "blank.mkv").shape == (count, *SIZE)
    assert load_file(folder / "latents.safetensors")["latents"].shape == (4, windows * 4, 8, 12)


def test_a_long_video_begins_with_its_first_window(given_config):
    long = target(sampled(given_config(noisy(6), slope(6))), "given")
    short = target(sampled({**given_config(noisy(6)[:4], slope(4)), "run": "short"}), "given")
    assert np.array_equal(long[:4], short)


def test_an_inverted_trajectory_gives_another_view_than_a_noised_one(stereo_config):
    method = stereo_config["methods"]["ours"]
    methods = {how: {**method, "trajectory": how, "composite": False} for how in ("noised", "inverted")}
    plan = sampled({**stereo_config, "methods": methods}, "w1")
    assert not np.array_equal(target(plan, "w1", "noised"), target(plan, "w1", "inverted"))


@pytest.fixture
def image_plan(image_config, quick_method, monkeypatch) -> Plan:
    """Return a plan whose generated clips have a disparity; no depth variant that needs no weights makes one."""
    monkeypatch.setattr(Plan, "supplies", lambda plan, depth, clip: True)
    depths = {"world": {"estimator": "world"}}
    config = {**image_config, "strength": 10, "depths": depths, "methods": {"ours": quick_method}}
    plan = run(resolve(config, "config.yaml"), INPUTS, GENERATE)
    for clip in plan.clips:
        frames = len(read_video(plan.paths.source_video(clip)).frames)
        put_disparity(plan, "world", clip.clip_id, slope(frames))
    return plan


def test_a_generated_clip_has_a_target_for_the_frames_that_its_video_shows(image_plan):
    assert TRAJECTORY.variants(image_plan) == ("noised",)
    assert TRAJECTORY.clips(image_plan, "noised") == []  # they have their own
    run(image_plan, STEREO)
    for clip_id, frames in {"plain": 4, "between": 2, "round": 3}.items():
        folder = image_plan.paths.target("ours", clip_id)
        source = read_video(image_plan.paths.source_video(image_plan.clip(clip_id)))
        assert len(source.frames) == frames
        assert target(image_plan, clip_id).shape == source.frames.shape
        assert read_mask(folder / "blank.mkv").shape == source.frames.shape[:3]
        assert load_file(folder / "latents.safetensors")["latents"].shape == (4, 4, 8, 12)
        expected = warp_fill(source.frames, slope(frames), 10, "edge-stretch")
        # Two pixels from a hole, where the seam ends, the warped source shows.
        assert np.array_equal(target(image_plan, clip_id)[:, :, :40], expected.target[:, :, :40])


def test_the_target_is_conditioned_on_its_own_warped_pictures(image_plan, monkeypatch):
    requests, original = [], DynamiCrafter.encode_conditioning
    monkeypatch.setattr(
        DynamiCrafter, "encode_conditioning", lambda model, given: requests.extend(given) or original(model, given)
    )
    for clip_id in ("between", "round"):
        clip = image_plan.clip(clip_id)
        frames = read_video(image_plan.paths.all_frames(clip)).frames
        warped = warp_fill(frames, slope(4), 10, "temporal").target
        requests.clear()
        run(image_plan, STEREO, clips=[clip])
        of_source, of_target = requests
        first, last = of_target.image, of_target.end_image
        assert of_source.seed == of_target.seed
        assert np.array_equal(to_uint8(first.permute(1, 2, 0).numpy()), warped[0])
        assert np.array_equal(to_uint8(last.permute(1, 2, 0).numpy()), warped[-1 if clip_id == "between" else 0])


@pytest.mark.parametrize("cross_view", ["self", "off"])
def test_without_a_shift_a_generated_clip_is_its_own_target(image_plan, cross_view):
    config = image_plan.config.model_dump(mode="json")
    config["generator"]["guidance_rescale"] = 0  # the sampler has none
    changes = {"preset": "paper", "warp": "whole", "cross_view": cross_view, "strength": 0.01}
    methods = {"ours": {"kind": "ours", "depth": "world", **changes}}
    plan = run(resolve({**config, "run": "still", "methods": methods}, "config.yaml"), INPUTS, GENERATE)
    put_disparity(plan, "world", "plain", slope(4))
    run(plan, STEREO, clips=[plan.clip("plain")])
    source = load_trajectory(plan.paths.trajectory("plain")).latents[-1]
    latents = load_file(plan.paths.target("ours", "plain") / "latents.safetensors")["latents"]
    torch.testing.assert_close(latents, source, rtol=0, atol=1e-4)


def test_the_vae_limit_is_the_true_view_encoded_and_decoded(stereo_config, tiny_model):
    config = {**stereo_config, "methods": {"vae-limit": {"kind": "vae-limit"}}}
    plan = resolve(config, "config.yaml")
    run(plan, WORLD, TRUTH, BASELINE, clips=[plan.clip("w1")])
    truth = read_video(plan.paths.truth_video(plan.clip("w1"), 10)).frames
    model = DynamiCrafter.from_pretrained(tiny_model)
    latents = model.encode_video(torch.from_numpy(truth).permute(0, 3, 1, 2)[None].float() / 255, [123])
    expected = to_uint8(model.decode_latents(latents)[0].permute(0, 2, 3, 1).numpy())
    assert np.abs(target(plan, "w1", "vae-limit").astype(int) - expected).max() <= 1


@pytest.mark.parametrize(
    ("disparity", "message"),
    [
        (slope(3), r"disparity is \(3, 32, 48\) \(frames, height, width\), but the source video is \(4, 32, 48\)"),
        (slope(4)[:, :16], r"disparity is \(4, 16, 48\) \(frames, height, width\), but the source video is"),
        (np.zeros((4, *SIZE), np.float32), "disparity is 0 everywhere: without a difference in depth"),
        (np.ones((4, *SIZE), np.float32), "disparity is 1 everywhere: without a difference in depth"),
    ],
    ids=["frames", "size", "zero", "one"],
)
def test_a_disparity_that_does_not_fit_is_refused(stereo_config, disparity, message):
    plan = prepared(stereo_config)
    put_disparity(plan, "world", "w1", disparity)
    with pytest.raises(StageError, match=f"clip 'w1': {message}"):
        run(plan, STEREO, clips=[plan.clip("w1")])


def test_a_trajectory_of_another_model_or_step_count_is_refused(stereo_config):
    plan = prepared(stereo_config)
    whole = load_trajectory(plan.trajectory("ours", plan.clip("w1")))
    put_trajectory(plan, "w1", backbone="1024")
    put_trajectory(plan, "w2", latents=whole.latents[1:], timesteps=whole.timesteps[1:])
    with pytest.raises(StageError) as caught:
        run(plan, STEREO)
    needed = "512 with 3 steps and (4, 8, 12) latents is needed"
    assert "is of the model 1024 with 3 steps and (4, 8, 12) latents" in str(caught.value)
    assert "is of the model 512 with 2 steps and (4, 8, 12) latents" in str(caught.value)
    assert str(caught.value).count(needed) == 2


def test_a_trajectory_of_another_size_is_refused(stereo_config):
    plan = prepared(stereo_config)
    whole = load_trajectory(plan.trajectory("ours", plan.clip("w1")))
    put_trajectory(plan, "w1", latents=whole.latents[..., :-2].contiguous())
    message = r"clip 'w1'.*\(4, 8, 10\) latents .* \(4, 8, 12\) latents is needed: make it again"
    with pytest.raises(StageError, match=message):
        run(plan, STEREO)


def test_latents_that_are_no_numbers_cost_their_clip_only(stereo_config):
    plan = prepared(stereo_config)
    broken = load_trajectory(plan.trajectory("ours", plan.clip("w1"))).latents.clone()
    broken[2, 0, 0, 0, 0] = torch.nan
    put_trajectory(plan, "w1", latents=broken)
    message = r"1 of 2 clips failed.*\n  clip 'w1': the target's latents are not finite numbers .* after step 3 of 3"
    with pytest.raises(StageError, match=message):
        run(plan, STEREO)
    assert not plan.paths.target_video("ours", "w1").exists()
    assert target(plan, "w2").shape == (4, *SIZE, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"last_warp_step": 3}, r"methods\.ours: last_warp_step 3 lies before the end of the restart"),
        ({"last_warp_step": 50}, r"methods\.ours\.last_warp_step: input should be less than 50, found 50"),
        ({"strength": 0}, r"methods\.ours\.strength: 0 asks for no stereo at all"),
        ({"wrap": "whole"}, r"methods\.ours\.wrap: unknown key; did you mean 'warp'"),
        ({"preset": "papper"}, r"methods\.ours\.preset: input should be 'best', 'paper' or 'reference'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(stereo_config, changes, message):
    with pytest.raises(InputError, match=message):
        resolve(with_method(stereo_config, **changes), "config.yaml")


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"strength": "0"}, r"row 1 .*strength: 0 asks for no stereo at all"),
        ({"last_warp_step": "3"}, r"clip 'w1': last_warp_step 3 lies before the end of the restart of methods\.ours"),
        ({"last_warp_step": "50"}, r"row 1 .*last_warp_step: input should be less than 50"),
    ],
)
def test_rows_that_make_no_sense_are_refused(stereo_config, world_rows, write_manifest, cells, message):
    world_rows[0] |= cells
    write_manifest(*world_rows)
    with pytest.raises(InputError, match=message):
        resolve(stereo_config, "config.yaml")


def test_a_rows_last_warp_step_goes_before_the_methods(stereo_config, world_rows, write_manifest):
    world_rows[0]["last_warp_step"] = "12"
    write_manifest(*world_rows)
    plan = resolve(with_method(stereo_config, last_warp_step=20), "config.yaml")
    steps = [STEREO.artifacts(plan, "ours", clip)[0].parameters["sampler"]["last_warp_step"] for clip in plan.clips]
    assert steps == [12, 20]


@pytest.mark.parametrize("method", [{"kind": "ours", "depth": "world"}, {"kind": "vae-limit"}])
def test_methods_that_sample_or_decode_need_a_generator(stereo_config, method):
    config = {**stereo_config, "generator": None, "methods": {"one": method}}
    with pytest.raises(InputError, match=rf"methods\.one: {method['kind']} .*add the section 'generator'"):
        resolve(config, "config.yaml")


def test_a_video_format_that_the_networks_can_not_halve_is_refused(stereo_config):
    config = {**stereo_config, "video": {**stereo_config["video"], "height": 36}}
    with pytest.raises(InputError, match="video: height 36 and width 48 must be multiples of 8"):
        resolve(config, "config.yaml")


def test_too_few_steps_are_refused(stereo_config):
    plan = prepared({**stereo_config, "generator": {**stereo_config["generator"], "steps": 1}})
    with pytest.raises(StageError, match="clip 'w1': 1 sampling steps are too few for the stereo sampler"):
        run(plan, STEREO, clips=[plan.clip("w1")])
