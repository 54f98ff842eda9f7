"""The generate stage, on a tiny model of named tensors."""

import logging

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from stereozero.artifacts import read_record
from stereozero.backbones.dynamicrafter import DynamiCrafter
from stereozero.errors import InputError, StageError
from stereozero.plan import resolve
from stereozero.stages import generate
from stereozero.stages import model as loaded
from stereozero.stages.generate import GENERATE
from stereozero.stages.inputs import INPUTS
from stereozero.trajectory import load_trajectory
from stereozero.video import read_video, to_uint8


@pytest.fixture(autouse=True)
def _as_in_a_new_process():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
    loaded._load.cache_clear()


def run(config: dict, *clip_ids: str):
    plan = resolve(config, "config.yaml")
    clips = [plan.clip(clip_id) for clip_id in clip_ids] or list(plan.clips)
    INPUTS.run(plan, "", plan.clips)
    GENERATE.run(plan, "", clips)
    return plan


def test_each_mode_leaves_a_trajectory_and_a_video_without_the_fixed_frames(image_config, tiny_model):
    plan = run(image_config)
    model = DynamiCrafter.from_pretrained(tiny_model)
    for clip_id, kept in {"plain": range(4), "between": range(1, 3), "round": range(1, 4)}.items():
        clip = plan.clip(clip_id)
        trajectory = load_trajectory(plan.paths.trajectory(clip_id))
        assert trajectory.latents.shape == (4, 4, 4, 8, 12)  # 3 steps: x_T and three more; C, F, h, w
        assert trajectory.kept == kept
        assert trajectory.timesteps.tolist() == [999, 666, 332]
        frames = to_uint8(model.decode_latents(trajectory.latents[-1:])[0].permute(0, 2, 3, 1).numpy())
        every = read_video(plan.paths.all_frames(clip)).frames
        # Another load of the model rounds differently in the last bit; see the backbone's own tests.
        assert np.abs(every.astype(int) - frames).max() <= 1
        source = read_video(plan.paths.source_video(clip))
        assert np.array_equal(source.frames, every[kept.start : kept.stop])
        assert source.fps == 8
        assert (plan.paths.generated(clip_id) / "preview.mp4").is_file()


def test_a_clip_depends_on_its_seed_and_not_on_its_batch(image_config, image_rows, write_manifest, tmp_path):
    files = ("trajectory.safetensors", "source.mkv", "preview.mp4")
    together = run(image_config)
    image_rows[0]["seed"] = "7"
    write_manifest(*image_rows)
    alone = run({**image_config, "run": "alone"}, "round")
    reseeded = run({**image_config, "run": "reseeded"}, "plain")
    for name in files:
        first, second = (plan.paths.generated("round") / name for plan in (together, alone))
        assert first.read_bytes() == second.read_bytes()
    first, second = (load_trajectory(plan.paths.trajectory("plain")) for plan in (together, reseeded))
    assert not torch.equal(first.latents[0], second.latents[0])


def test_a_clip_does_not_depend_on_the_number_of_cores(image_config):
    results = []
    for cores in (1, 4):
        torch.set_num_threads(cores)
        plan = run({**image_config, "run": f"cores{cores}"}, "plain")
        results.append(plan.paths.trajectory("plain").read_bytes())
    assert results[0] == results[1]


def test_sampling_can_be_taken_up_at_any_step_of_the_stored_trajectory(image_config, tiny_model):
    from stereozero.diffusion.sampling import sample
    from stereozero.diffusion.schedule import ddim_schedule

    plan = run(image_config, "plain")
    stored = load_trajectory(plan.paths.trajectory("plain")).latents
    artifact = GENERATE.artifacts(plan, "", plan.clip("plain"))[0]
    model = loaded._load(plan.config.generator, "cpu", None)
    schedule = ddim_schedule(model.schedule, 3, spacing=model.spacing)
    pair = model.encode_conditioning([generate.request_of(artifact)])
    for start in (1, 2):
        steps = sample(model, pair, schedule, stored[start][None], [123], guidance=7.5, rescale=0.7, start=start)
        for index, latents in enumerate(steps, start + 1):
            torch.testing.assert_close(latents[0], stored[index], rtol=0, atol=0)


def test_the_rows_frame_stride_and_the_configs_settings_are_used(image_config, image_rows, write_manifest):
    image_rows[0]["frame_stride"] = "9"
    write_manifest(*image_rows)
    image_config["generator"]["guidance"] = 2
    plan = run(image_config, "plain")
    settings = read_record(plan.paths.generated("plain"))["parameters"]
    assert settings["frame_stride"] == 9
    assert settings["guidance"] == 2
    assert settings["guidance_rescale"] == 0.7  # the variant's preset
    assert "offload" not in settings


def test_memory_settings_remake_nothing_and_a_new_prompt_remakes_its_clip(image_config, image_rows, write_manifest):
    plan = run(image_config, "plain", "round")
    stamps = {clip: (plan.paths.generated(clip) / "record.json").stat().st_mtime_ns for clip in ("plain", "round")}
    image_rows[2]["prompt"] = "a cube"
    write_manifest(*image_rows)
    image_config["generator"] |= {"guidance_in_one_batch": False, "vae_frames": 4, "offload": True}
    run(image_config, "plain", "round")
    again = {clip: (plan.paths.generated(clip) / "record.json").stat().st_mtime_ns for clip in stamps}
    assert again["plain"] == stamps["plain"]
    assert again["round"] != stamps["round"]


def test_the_model_is_loaded_once_a_job_and_only_if_a_clip_needs_it(image_config, monkeypatch):
    loads = []
    original = DynamiCrafter.from_pretrained
    monkeypatch.setattr(
        DynamiCrafter, "from_pretrained", lambda *args, **options: loads.append(1) or original(*args, **options)
    )
    run(image_config)
    assert loads == [1]
    loaded._load.cache_clear()
    run(image_config)
    assert loads == [1]


def test_other_weights_in_the_folder_make_the_clips_again(image_config, tiny_model, tmp_path):
    import shutil

    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    image_config["generator"]["folder"] = str(folder)
    plan = run(image_config, "plain")
    before = plan.paths.trajectory("plain").read_bytes()
    model = DynamiCrafter.from_pretrained(folder)
    model.modules.unet.out[2].bias.data += 1
    model.save_pretrained(folder)
    loaded._load.cache_clear()
    run(image_config, "plain")
    assert plan.paths.trajectory("plain").read_bytes() != before


def test_half_precision_two_calls_and_no_guidance_work(image_config):
    image_config["generator"] |= {"dtype": "bf16", "guidance_in_one_batch": False, "vae_frames": 3}
    plan = run(image_config, "plain")
    half = load_file(plan.paths.trajectory("plain"))["latents"]
    assert half.dtype == torch.float32
    image_config["generator"] |= {"guidance": 1, "eta": 0, "dynamic_rescale": 1}
    run(image_config, "plain")
    assert not torch.equal(load_file(plan.paths.trajectory("plain"))["latents"], half)


def test_the_image_can_be_guided_to_apart_from_the_text(image_config):
    made = []
    for settings in ({}, {"image_guidance": 7.5}, {"image_guidance": 2}):
        image_config["generator"] = image_config["generator"] | settings
        plan = run(image_config, "plain")
        made.append(load_file(plan.paths.trajectory("plain"))["latents"])
    torch.testing.assert_close(made[1], made[0], rtol=0, atol=1e-3 * float(made[0].std()))  # equal to 'guidance'
    assert not torch.allclose(made[2], made[0], rtol=0, atol=0.05 * float(made[0].std()))


def test_held_steps_are_in_the_trajectory_but_not_evaluated(image_config, monkeypatch):
    timesteps = []
    predict = DynamiCrafter.predict
    monkeypatch.setattr(
        DynamiCrafter,
        "predict",
        lambda model, latents, timestep, *rest: timesteps.append(timestep) or predict(model, latents, timestep, *rest),
    )
    plan = run(image_config, "plain")
    assert "hold_below" not in read_record(plan.paths.generated("plain"))["parameters"]
    everywhere = load_trajectory(plan.paths.trajectory("plain"))
    image_config["generator"]["hold_below"] = 600
    plan = run(image_config, "plain")
    assert timesteps == [999, 666, 332, 999, 666]
    assert read_record(plan.paths.generated("plain"))["parameters"]["hold_below"] == 600
    held = load_trajectory(plan.paths.trajectory("plain"))
    assert held.timesteps.tolist() == [999, 666, 332]
    assert torch.equal(held.latents[:3], everywhere.latents[:3])
    assert not torch.allclose(held.latents[3], everywhere.latents[3], rtol=0, atol=0.05)


def test_a_long_prompt_is_cut_and_it_is_said(image_config, image_rows, write_manifest, caplog):
    caplog.set_level(logging.WARNING)
    image_rows[0]["prompt"] = "red " * 90
    write_manifest(*image_rows)
    run(image_config, "plain")
    assert "prompt has 90 tokens, only the first 75 are used" in caplog.text


def test_cuda_where_there_is_none(image_config, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(StageError, match="clip 'plain': device: cuda is asked for, but torch finds no CUDA device"):
        run({**image_config, "device": "cuda"}, "plain")


def test_a_damaged_model_is_named(image_config, tiny_model, tmp_path):
    import shutil

    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    image_config["generator"]["folder"] = str(folder)
    with pytest.raises(StageError, match=r"unet: the saved network is damaged"):
        run(image_config, "plain")


def test_too_little_memory_names_the_knobs(image_config, monkeypatch):
    def exhausted(*arguments, **options):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 5 GiB.\nmore")

    monkeypatch.setattr(DynamiCrafter, "predict", exhausted)
    with pytest.raises(StageError) as caught:
        run(image_config, "plain")
    assert "not enough memory on the GPU (CUDA out of memory. Tried to allocate 5 GiB.)" in str(caught.value)
    assert "set 'dtype: bf16', 'guidance_in_one_batch: false', 'offload: true' in 'generator'" in str(caught.value)


def test_without_a_generator_images_stay_images(image_config):
    del image_config["generator"]
    plan = resolve(image_config, "config.yaml")
    assert GENERATE.clips(plan, "") == []
    assert plan.method_clips("mono-copy") == []


def test_input_errors_are_kept_apart_from_defects(image_config, tiny_model):
    image_config["generator"]["folder"] = str(tiny_model / "nothing")
    with pytest.raises(InputError, match=r"nothing is no DynamiCrafter model folder: there is no variant\.json"):
        resolve(image_config, "config.yaml")
