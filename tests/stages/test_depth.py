"""The stages estimate, depth and derive, on tiny networks with random weights."""

import logging
from itertools import pairwise

import numpy as np
import pytest
import torch
from depthcrafter_goldens import build_model
from tiny_depth_models import tiny_depth_anything, tiny_depth_pro
from torchvision.models.optical_flow import raft_small

from stereozero.artifacts import read_record, write_json
from stereozero.depth.convention import normalise
from stereozero.depth.depthcrafter import DepthCrafter
from stereozero.depth.dissolve import PAPER_STEPS, dissolve
from stereozero.depth.estimate_file import load_estimate, load_latents
from stereozero.depth.estimator import DepthKind
from stereozero.disparity_io import load_disparity
from stereozero.errors import StageError
from stereozero.images import load_image
from stereozero.jobs import plan_jobs
from stereozero.plan import resolve
from stereozero.preview import GAP, HEADER_HEIGHT, LABEL_WIDTH
from stereozero.published_models import REGISTRY
from stereozero.stages import depth_model
from stereozero.stages.baseline import BASELINE
from stereozero.stages.depth import DEPTH, shown_disparity
from stereozero.stages.depth_pictures import DEPTH_PICTURES, shown_label
from stereozero.stages.derive import DERIVE
from stereozero.stages.estimate import ESTIMATE
from stereozero.stages.generate import GENERATE
from stereozero.stages.inputs import INPUTS
from stereozero.stages.model import as_tensor
from stereozero.stages.stereo import STEREO
from stereozero.stages.world import WORLD
from stereozero.video import read_video, write_lossless

SOURCES = (INPUTS, GENERATE, WORLD)


@pytest.fixture(autouse=True)
def _no_depth_network_is_loaded(as_in_a_new_process):
    yield
    depth_model._load.cache_clear()
    depth_model._load_flow.cache_clear()


@pytest.fixture(scope="module")
def crafter(tmp_path_factory) -> dict:
    """Return the settings of a depthcrafter variant whose networks are saved in a folder; sizes in multiples of 16."""
    folder = tmp_path_factory.mktemp("depthcrafter")
    build_model().save_pretrained(folder)
    return {"estimator": "depthcrafter", "folder": str(folder), "steps": 2, "guidance": 1}


@pytest.fixture
def config(world_config, crafter) -> dict:
    """Return a run over two world clips of 2 frames of 32 x 48 pixels with a depthcrafter variant."""
    world_config["video"] |= {"height": 32, "width": 48, "frames": 2}
    return world_config | {"device": "cpu", "depths": world_config["depths"] | {"crafter": crafter}}


def run(config: dict, *stages, clip_ids=("w1",)):
    plan = resolve(config, "config.yaml")
    clips = [clip for clip in plan.clips if clip.clip_id in clip_ids]
    for stage in stages:
        for variant in stage.variants(plan):
            stage.run(plan, variant, [clip for clip in clips if clip in stage.clips(plan, variant)])
    return plan


def run_depth(config: dict, clip_ids=("w1",)):
    return run(config, *SOURCES, ESTIMATE, DEPTH, DERIVE, clip_ids=clip_ids)


def disparity(plan, variant: str, clip_id: str = "w1") -> np.ndarray:
    return load_disparity(plan.paths.disparity(variant, clip_id))


def derived(depth: str = "crafter", **changes) -> dict:
    return {"estimator": "derived", "depth": depth, **changes}


def test_an_estimate_is_kept_raw_and_becomes_disparity_with_a_preview(config):
    config["depths"]["crafter"] = config["depths"]["crafter"] | {"percentiles": [5, 95]}
    plan = run_depth(config)
    folder = plan.paths.estimate("crafter", "w1")
    raw, latents = load_estimate(folder / "raw.safetensors"), load_latents(folder / "latents.safetensors")
    assert raw.kind is DepthKind.INVERSE
    assert latents.shape == (2, 4, 4, 6)
    assert np.array_equal(disparity(plan, "crafter"), normalise(raw.values, (5, 95)).numpy())
    preview = read_video(plan.paths.depth("crafter", "w1") / "preview.mp4")
    assert preview.frames.shape == (2, 32, 48, 3)
    assert preview.fps == 8


def test_depthcrafters_depth_is_not_stretched_where_that_is_asked_for(config):
    config["depths"]["crafter"] = config["depths"]["crafter"] | {"percentiles": None}
    config["depths"]["soft"] = derived(dissolve=10, percentiles=None)
    plan = run_depth(config)
    raw = load_estimate(plan.paths.estimate("crafter", "w1") / "raw.safetensors").values
    assert np.array_equal(disparity(plan, "crafter"), raw.numpy())
    dissolved = load_estimate(plan.paths.depth("soft", "w1") / "raw.safetensors").values
    assert np.array_equal(disparity(plan, "soft"), dissolved.numpy())


def test_dissolve_levels_share_one_estimation(config, monkeypatch):
    estimations = []
    original = DepthCrafter.sample
    monkeypatch.setattr(DepthCrafter, "sample", lambda *arguments: estimations.append(1) or original(*arguments))
    config["depths"] |= {f"dissolved-{step}": derived(dissolve=step) for step in (1, 10, 50)}
    plan = run_depth(config)
    assert len(estimations) == 1
    levels = [disparity(plan, name) for name in ("crafter", "dissolved-1", "dissolved-10", "dissolved-50")]
    assert all(not np.array_equal(one, other) for one, other in pairwise(levels))
    assert all((level.min(), level.max()) == (0, 1) for level in levels)


def test_a_level_is_the_librarys_one_step_on_the_kept_latents(config):
    config["depths"]["soft"] = derived(dissolve=20)
    plan = run_depth(config)
    loaded = depth_model._load(plan.config.depths["crafter"], "cpu", None)
    video = as_tensor(read_video(plan.paths.depth_video(plan.clip("w1"))).frames)
    settings = loaded.settings.__class__(**{**vars(loaded.settings), "seed": plan.config.seed})
    condition = loaded.model.encode(video, loaded.model.draw_noise(2, 32, 48, settings).augmentation, settings)
    latents = load_latents(plan.paths.estimate("crafter", "w1") / "latents.safetensors")
    with torch.no_grad():
        expected = loaded.model.decode(dissolve(loaded.model, latents, condition, 20, settings), settings)
    raw = load_estimate(plan.paths.depth("soft", "w1") / "raw.safetensors").values
    torch.testing.assert_close(raw, expected, rtol=0, atol=1e-6)


def test_the_rows_dissolve_step_overrides_the_variants(config, world_rows, write_manifest):
    write_manifest(*(row | {"dissolve_step": step} for row, step in zip(world_rows, ("7", ""), strict=True)))
    config["depths"] |= {"fixed": derived(dissolve=20), "by-row": derived(dissolve="row")}
    config["depths"]["small"] = derived(downsample=2)
    plan = run_depth(config, clip_ids=("w1", "w2"))
    steps = {
        (variant, clip): read_record(plan.paths.depth(variant, clip))["parameters"]["dissolve"]
        for variant in ("fixed", "by-row", "small")
        for clip in ("w1", "w2")
    }
    assert [steps["fixed", clip] for clip in ("w1", "w2")] == [7, 20]
    assert [steps["by-row", clip] for clip in ("w1", "w2")] == [7, None]
    assert [steps["small", clip] for clip in ("w1", "w2")] == [None, None]
    assert np.array_equal(disparity(plan, "by-row", "w2"), disparity(plan, "crafter", "w2"))


def test_an_adaptive_level_is_one_of_the_fixed_ones_and_says_which(config):
    config["depths"] |= {
        "far": derived(dissolve="adaptive", agreement=0.001),
        "never": derived(dissolve="adaptive", agreement=1),
        "from-elsewhere": derived("world", dissolve="adaptive", agreement=1, dissolver="crafter"),
    }
    config["depths"] |= {f"t{step}": derived(dissolve=step) for step in PAPER_STEPS}
    plan = run_depth(config)
    records = {name: read_record(plan.paths.depth(name, "w1")) for name in ("far", "never", "from-elsewhere")}
    assert records["far"]["parameters"]["agreement"] == 0.001
    tried = records["far"]["notes"]["agreement"]
    level = records["far"]["notes"]["dissolved_to"]
    kept = [step for step in PAPER_STEPS if tried.get(str(step), 0) >= 0.001]
    assert level == kept[-1]
    assert np.array_equal(disparity(plan, "far"), disparity(plan, f"t{level}"))
    assert records["never"]["notes"]["dissolved_to"] is None
    assert list(records["never"]["notes"]["agreement"]) == ["10"]
    assert np.array_equal(disparity(plan, "never"), disparity(plan, "crafter"))
    np.testing.assert_allclose(disparity(plan, "from-elsewhere"), disparity(plan, "world"), atol=0.01)


def test_depth_from_elsewhere_is_dissolved_through_depthcrafter(config):
    config["depths"] |= {
        "soft": derived("world", dissolve=10, dissolver="crafter"),
        "softer": derived("world", dissolve=45, dissolver="crafter"),
    }
    plan = run_depth(config)
    record = read_record(plan.paths.depth("soft", "w1"))
    assert "disparity" in record["inputs"]
    assert "latents" not in record["inputs"]
    assert record["parameters"]["dissolver"]["seed"] == plan.config.seed
    assert not np.array_equal(disparity(plan, "soft"), disparity(plan, "softer"))


def test_downsampling_alone_leaves_the_scale(config):
    config["depths"] |= {"half": derived("world", downsample=2), "quarter": derived("world", downsample=4)}
    plan = run_depth(config)
    full, half, quarter = (disparity(plan, name) for name in ("world", "half", "quarter"))
    assert abs(half.mean() - full.mean()) < 0.01
    details = [np.abs(np.diff(one, axis=2)).max() for one in (full, half, quarter)]
    assert details[0] > details[1] > details[2]
    assert not (plan.paths.depth("half", "w1") / "raw.safetensors").exists()


@pytest.mark.parametrize("how", ["paper", "reference"])
def test_propagation_along_the_motion(config, how):
    from stereozero.depth.flow import DisFlow, half_size_flow
    from stereozero.depth.propagation import propagate, propagate_reference

    config["depths"]["calm"] = derived("world", propagate=how, flow="dis", percentiles=[0, 100])
    plan = run_depth(config)
    video = as_tensor(read_video(plan.paths.depth_video(plan.clip("w1"))).frames)
    given = torch.from_numpy(disparity(plan, "world"))
    if how == "paper":
        expected = propagate(given, DisFlow().estimate(video))
    else:
        expected = propagate_reference(given, half_size_flow(DisFlow(), video))
    assert torch.equal(load_estimate(plan.paths.depth("calm", "w1") / "raw.safetensors").values, expected)
    assert np.array_equal(disparity(plan, "calm"), normalise(expected, (0, 100)).numpy())


def test_frames_in_the_released_codes_range(config, crafter, monkeypatch):
    config["depths"] |= {
        "crafter": {**crafter, "half_range": True},
        "t10": derived("crafter", dissolve=10),
        "usual": crafter,
    }
    seen = []
    encode = DepthCrafter.encode
    monkeypatch.setattr(
        DepthCrafter,
        "encode",
        lambda model, video, *more: seen.append(float(video.min())) or encode(model, video, *more),
    )
    plan = run_depth(config)
    parameters = {name: read_record(plan.paths.estimate(name, "w1"))["parameters"] for name in ("crafter", "usual")}
    assert parameters["crafter"] == parameters["usual"] | {"half_range": True}
    assert "half_range" not in parameters["usual"]
    assert sum(low >= 0.5 for low in seen) == 2 * sum(low < 0.5 for low in seen)


def test_image_models_and_their_metric_depth(config, tmp_path):
    tiny_depth_pro().save_pretrained(tmp_path / "pro")
    tiny_depth_anything().save_pretrained(tmp_path / "anything")
    config["depths"] |= {
        "pro": {"estimator": "depth-pro", "folder": str(tmp_path / "pro")},
        "anything": {"estimator": "depth-anything", "folder": str(tmp_path / "anything")},
    }
    plan = run_depth(config)
    raw = load_estimate(plan.paths.estimate("pro", "w1") / "raw.safetensors")
    assert raw.kind is DepthKind.METRIC
    assert raw.focal_length.shape == (2,)
    near, far = disparity(plan, "pro") > 0.9, disparity(plan, "pro") < 0.1
    assert raw.values[torch.from_numpy(near)].mean() < raw.values[torch.from_numpy(far)].mean()
    assert not (plan.paths.estimate("pro", "w1") / "latents.safetensors").exists()
    assert disparity(plan, "anything").shape == (2, 32, 48)


def test_networks_are_loaded_once_a_job(config, monkeypatch):
    loads = []
    original = DepthCrafter.from_pretrained
    monkeypatch.setattr(
        DepthCrafter, "from_pretrained", lambda *args, **options: loads.append(1) or original(*args, **options)
    )
    config["depths"]["soft"] = derived(dissolve=10)
    run_depth(config, clip_ids=("w1", "w2"))
    assert loads == [1]  # one process here: the stage derive finds it loaded
    assert torch.get_num_threads() == 1
    depth_model._load.cache_clear()
    run_depth(config, clip_ids=("w1", "w2"))
    assert loads == [1]


def test_what_remakes_an_estimate(config):
    def stamp(plan) -> int:
        return (plan.paths.estimate("crafter", "w1") / "record.json").stat().st_mtime_ns

    first = stamp(run_depth(config))
    config["depths"]["crafter"] = config["depths"]["crafter"] | {"percentiles": [2, 98]}
    assert stamp(run_depth(config)) == first
    config["depths"]["crafter"] = config["depths"]["crafter"] | {"steps": 1}
    second = stamp(run_depth(config))
    assert second != first
    assert stamp(run_depth(config | {"seed": 5})) != second


def test_a_generated_clip_is_estimated_with_all_frames_and_warped_with_the_shown_ones(image_config, crafter):
    methods = {name: {"kind": name, "depth": "crafter"} for name in ("warp-fill", "ours")}
    image_config |= {"depths": {"crafter": crafter}, "methods": methods}
    plan = run(image_config, *SOURCES, ESTIMATE, DEPTH, BASELINE, STEREO, clip_ids=("between",))
    estimated = disparity(plan, "crafter", "between")
    assert estimated.shape == (4, 32, 48)
    assert np.array_equal(
        shown_disparity(plan.paths.disparity("crafter", "between"), plan.clip("between")), estimated[1:3]
    )
    for method in methods:
        assert read_video(plan.paths.target_video(method, "between")).frames.shape == (2, 32, 48, 3)


@pytest.fixture
def video_config(config, write_manifest, tmp_path):
    """Return a function that makes a run over one given video (F, H, W, 3)."""

    def make(frames: np.ndarray) -> dict:
        write_lossless(tmp_path / "v.mkv", frames, 8)
        write_manifest({"clip_id": "v", "source_video": "v.mkv"})
        methods = {"mono-copy": {"kind": "mono-copy"}, "warp-fill": {"kind": "warp-fill", "depth": "crafter"}}
        return config | {"methods": methods}

    return make


@pytest.mark.parametrize("frames", [1, 2])
def test_very_short_clips(video_config, tmp_path, frames):
    noise = np.random.default_rng(0).integers(0, 256, (frames, 32, 48, 3), dtype=np.uint8)
    config = video_config(noise)
    tiny_depth_pro().save_pretrained(tmp_path / "pro")
    config["depths"] |= {
        "pro": {"estimator": "depth-pro", "folder": str(tmp_path / "pro")},
        "calm": derived("pro", propagate="reference", flow="dis"),
        "soft": derived(dissolve=10, propagate="paper", flow="dis"),
        "adaptive": derived(dissolve="adaptive"),
    }
    plan = run_depth(config, clip_ids=("v",))
    for variant in ("calm", "soft", "adaptive"):
        assert disparity(plan, variant, "v").shape == (frames, 32, 48)


def test_sizes_that_the_networks_cannot_take_are_resized_and_it_is_said(video_config, caplog):
    caplog.set_level(logging.INFO)
    noise = np.random.default_rng(0).integers(0, 256, (2, 30, 50, 3), dtype=np.uint8)
    plan = run_depth(video_config(noise), clip_ids=("v",))
    assert disparity(plan, "crafter", "v").shape == (2, 30, 50)
    assert "50x30 pixels are resized to 48x32 for DepthCrafter, and back" in caplog.text


def test_a_constant_video_is_refused_and_a_dark_one_warned_of(video_config, caplog):
    with pytest.raises(StageError, match=r"clip 'v': video: all 2 frames are of one colour .*or give its disparity"):
        run_depth(video_config(np.full((2, 32, 48, 3), 40, np.uint8)), clip_ids=("v",))
    dark = np.random.default_rng(0).integers(0, 20, (2, 32, 48, 3), dtype=np.uint8)
    run_depth(video_config(dark) | {"run": "dark"}, clip_ids=("v",))
    assert "video: is very dark" in caplog.text


def test_a_users_depth_video_in_8_bits_inverted_and_in_colour(video_config, write_manifest, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (2, 32, 48, 3), dtype=np.uint8)
    config = video_config(noise)
    write_lossless(tmp_path / "depth.mkv", noise[..., 0], 8)
    write_manifest({"clip_id": "v", "source_video": "v.mkv", "disparity": "depth.mkv"})
    config["depths"] |= {"mine": {"estimator": "given", "invert": True}, "soft": derived("mine", downsample=2)}
    plan = run_depth(config, clip_ids=("v",))
    np.testing.assert_allclose(disparity(plan, "mine", "v"), 1 - noise[..., 0] / 255, atol=1e-6)
    assert disparity(plan, "soft", "v").mean() == pytest.approx(disparity(plan, "mine", "v").mean(), abs=1e-3)
    write_manifest({"clip_id": "v", "source_video": "v.mkv", "disparity": "v.mkv"})
    with pytest.raises(StageError, match=r"clip 'v': .*v\.mkv: is a coloured video .* A grey video, brightest nearest"):
        run_depth(config | {"run": "colour"}, clip_ids=("v",))


def test_propagation_by_raft_reads_fetched_weights_and_is_keyed_by_them(config, tmp_path):
    config |= {"weights_folder": str(tmp_path / "weights")}
    config["depths"]["calm"] = derived("world", propagate="paper", flow="raft_small")
    plan, raft = resolve(config, "config.yaml"), REGISTRY["raft-small"]
    write_json(plan.paths.weights(raft.name), {"model": raft.name, "bytes": 0, "sha256": "0" * 64})
    with pytest.raises(StageError, match=r"raft-small: its weights are not on this machine.* since the rule 'weights'"):
        run_depth(config)
    torch.manual_seed(0)
    (tmp_path / "weights" / "stereozero").mkdir(parents=True)
    torch.save(raft_small(weights=None).state_dict(), tmp_path / "weights" / "stereozero" / raft.file)
    run_depth(config)
    assert disparity(plan, "calm").shape == (2, 32, 48)
    (artifact,) = DERIVE.artifacts(plan, "calm", plan.clips[0])
    assert artifact.inputs["model/raft-small"] == plan.paths.weights("raft-small")
    (untouched,) = DERIVE.artifacts(resolve(config | {"depths": _with_dis(config)}, "c"), "calm", plan.clips[0])
    assert untouched.inputs.keys() == {"video", "disparity"}


def _with_dis(config: dict) -> dict:
    return config["depths"] | {"calm": derived("world", propagate="paper", flow="dis")}


def test_too_little_memory_names_what_takes_less(config, monkeypatch):
    def exhausted(*arguments, **options):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.\nmore")

    monkeypatch.setattr(DepthCrafter, "encode", exhausted)
    with pytest.raises(StageError) as caught:
        run_depth(config)
    assert "not enough memory on the GPU (CUDA out of memory.); set 'dtype: bf16', 'frames_at_once: 1'" in str(
        caught.value
    )


def test_all_variants_of_a_clip_are_in_one_picture(config):
    config["depths"]["soft"] = derived(dissolve=10)
    config["depths"]["progressive"] = {"estimator": "progressive", "levels": [[0, "soft"], [25, "crafter"]]}
    plan = run_depth(config)
    DEPTH_PICTURES.run(plan, "", [plan.clip("w1")])
    picture = load_image(plan.paths.depth_picture("w1"))
    rows = read_record(plan.paths.depth_picture("w1").parent)["parameters"]["rows"]
    assert [label for _, label in rows] == ["world", "crafter", "soft (t = 10)"]
    row_height = round(256 * 32 / 48) + GAP
    assert picture.shape[0] == HEADER_HEIGHT + (1 + len(rows)) * row_height
    bands = [picture[HEADER_HEIGHT + index * row_height :][: row_height - GAP, LABEL_WIDTH:] for index in range(4)]
    assert all(not np.array_equal(one, other) for one, other in pairwise(bands))


def test_the_picture_says_which_level_an_adaptive_one_is(config):
    config["depths"]["own"] = derived(dissolve="adaptive", agreement=1)
    plan = run_depth(config)
    assert shown_label("own", plan.paths.disparity("own", "w1")) == "own (t = none)"
    assert shown_label("crafter", plan.paths.disparity("crafter", "w1")) == "crafter"


def test_a_single_variant_needs_no_picture(config):
    del config["depths"]["crafter"]
    plan = resolve(config, "config.yaml")
    assert DEPTH_PICTURES.clips(plan, "") == []


def test_the_jobs_stand_behind_what_they_need(config):
    config["depths"] |= {"soft": derived(dissolve=10), "soft-world": derived("world", dissolve=9, dissolver="crafter")}
    jobs = {job.name: job for job in plan_jobs(resolve(config, "config.yaml"))}
    needs = {name: {str(path.relative_to(path.parents[2]).parent) for path in job.needs} for name, job in jobs.items()}
    assert "estimate/crafter" in needs["depth_crafter_1of1"]
    assert "estimate/crafter" in needs["derive_soft_1of1"]
    assert "depth/world" in needs["derive_soft-world_1of1"]
    assert not any(name.startswith("estimate_world") for name in jobs)
