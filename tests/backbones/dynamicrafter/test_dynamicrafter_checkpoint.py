import gzip
import json
from pathlib import Path

import pytest
import torch
from dynamicrafter_goldens import FOLDER, named_tensor, read_case, split_context
from parity import relative_error
from safetensors.torch import save_file
from tiny_dynamicrafter import build_modules, official_tensors

from stereozero.backbones.dynamicrafter import VARIANTS, load_official
from stereozero.backbones.dynamicrafter.checkpoint import assign_keys, build_on_meta, fill, identify, read_tensors
from stereozero.backbones.dynamicrafter.official_keys import Target, is_ignored, official_name
from stereozero.errors import InputError

ANY = Path("model.ckpt")
FORMATS = ["lightning", "deepspeed", "bare", "safetensors"]


@pytest.fixture(scope="module")
def tensors():
    return official_tensors()


def write(path: Path, tensors, kind: str) -> Path:
    if kind == "safetensors":
        save_file(tensors, path)
    elif kind == "lightning":
        torch.save({"state_dict": tensors, "global_step": 3}, path)
    elif kind == "deepspeed":
        torch.save({"module": {f"_forward_module.{key}": value for key, value in tensors.items()}}, path)
    else:
        torch.save(tensors, path)
    return path


def on_meta():
    with torch.device("meta"):
        return build_modules()


def full_size_keys(name: str) -> dict[str, torch.Tensor]:
    with gzip.open(FOLDER / f"checkpoint_{name}.json.gz") as file:
        shapes = json.load(file)["state_dict"]
    return {key: torch.empty(shape, device="meta") for key, (shape, _) in shapes.items()}


@pytest.mark.parametrize(("name", "count"), [("256", 2535), ("512", 2520), ("1024", 2520)])
def test_every_official_key_is_used_at_full_size(name, count):
    tensors = full_size_keys(name)
    assert len(tensors) == count
    modules = build_on_meta(VARIANTS[name])
    sources = assign_keys(modules, tensors, ANY)  # raises if a parameter stays empty or a key is left
    used = [key for keys in sources.values() for key in keys.values()]
    assert sorted(used) == sorted(key for key in tensors if not is_ignored(key))
    assert sum(module.num_parameters() for module in modules.named().values()) > 2_500_000_000


def test_missing_keys_are_named_as_in_the_file():
    modules = build_on_meta(VARIANTS["256"])
    official = full_size_keys("256")
    for component, names in assign_keys(modules, official, ANY).items():
        if component != "vae":
            assert all(official_name(Target(component, name)) == key for name, key in names.items())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_of_each_format_is_read(tmp_path, tensors, kind, dtype):
    path = write(tmp_path / "model", tensors, kind)
    modules = on_meta()
    fill(modules, read_tensors(path), path, device="cpu", dtype=dtype)
    for module in modules.named().values():
        assert not module.training
        assert all(not value.is_meta and not value.requires_grad for value in module.parameters())
        assert all(value.dtype == dtype for value in module.parameters())
        assert all(not value.is_meta for value in module.buffers())
    expected = tensors["first_stage_model.decoder.mid.attn_1.q.weight"][:, :, 0, 0].to(dtype)
    assert torch.equal(modules.vae.decoder.mid_block.attentions[0].to_q.weight, expected)


def test_a_loaded_model_gives_the_references_numbers(tmp_path, tensors):
    path = write(tmp_path / "model.ckpt", tensors, "lightning")
    modules = on_meta()
    fill(modules, read_tensors(path), path, device="cpu", dtype=torch.float32)
    facts, expected = read_case("unet_tiny_512")
    case = facts["cases"]["b1"]
    context = split_context(named_tensor(*case["context"]), frames=4)
    output = modules.unet(named_tensor(*case["x"]), torch.tensor(case["timesteps"]), **context, fs=24)
    assert relative_error(output, expected["out_b1"]) < 1e-4
    facts, expected = read_case("clip_tiny")
    text = modules.conditioner.encode_text(facts["cases"]["text_penultimate"]["prompts"])
    assert relative_error(text, expected["text_penultimate"]) < 1e-4


@pytest.mark.parametrize("kind", ["lightning", "safetensors"])
def test_nothing_is_copied_in_the_files_own_dtype(tmp_path, tensors, kind):
    path = write(tmp_path / "model", tensors, kind)
    mapped, modules = read_tensors(path), on_meta()
    fill(modules, mapped, path, device="cpu", dtype=torch.float32)
    source = mapped["model.diffusion_model.middle_block.0.in_layers.2.weight"]
    assert modules.unet.middle_block[0].in_layers[2].weight.data_ptr() == source.data_ptr()
    mapping = Path("/proc/self/maps")
    if mapping.exists():
        assert str(path) in mapping.read_text()


def test_the_256_files_older_name_of_the_frame_stride_embedding(tensors):
    renamed = {key.replace("fps_embedding", "framestride_embed"): value for key, value in tensors.items()}
    assert renamed.keys() != tensors.keys()
    fill(on_meta(), renamed, ANY, device="cpu", dtype=torch.float32)


def test_buffers_and_leftovers_may_be_absent(tensors):
    pruned = {key: value for key, value in tensors.items() if not is_ignored(key)}
    assert len(pruned) == len(tensors) - 8
    fill(on_meta(), pruned, ANY, device="cpu", dtype=torch.float32)


def test_one_message_lists_all_that_does_not_fit(tensors):
    broken = dict(tensors)
    broken["model.diffusion_model.extra.weight"] = torch.zeros(1)
    broken["optimizer"] = torch.zeros(1)
    del broken["image_proj_model.proj_in.bias"]
    broken["first_stage_model.quant_conv.bias"] = torch.zeros(4)
    modules = on_meta()
    with pytest.raises(InputError) as caught:
        fill(modules, broken, Path("some/file.ckpt"), device="cpu", dtype=torch.float32)
    message = str(caught.value)
    assert "some/file.ckpt" in message
    assert "1 missing: image_proj_model.proj_in.bias" in message
    assert "2 unexpected: model.diffusion_model.extra.weight, optimizer" in message
    assert "1 of another shape: first_stage_model.quant_conv.bias [4] instead of [8]" in message
    assert all(value.is_meta for value in modules.unet.parameters())


def test_long_lists_are_cut_short():
    with pytest.raises(InputError, match=r"2501 missing: .* and 2491 more"):
        assign_keys(build_on_meta(VARIANTS["512"]), {}, ANY)


def test_identify():
    tensors = full_size_keys("256")
    assert identify(tensors) == {"256"}
    tensors = full_size_keys("512")
    assert identify(tensors | {"scale_arr": torch.full((1400,), 0.7).bfloat16()}) == {"512", "512-interp"}
    assert identify(tensors | {"scale_arr": torch.full((1400,), 0.3).bfloat16()}) == {"1024"}
    del tensors["scale_arr"]
    assert identify(tensors) == {"512", "1024", "512-interp"}


@pytest.mark.parametrize(
    ("change", "wanted", "message"),
    [
        ({"model.diffusion_model.a.attn2.alpha": torch.zeros(())}, "512", "is a 256 checkpoint, expected 512"),
        ({}, "256", "is a 512 or 512-interp checkpoint, expected 256"),
        ({"scale_arr": torch.full((1400,), 0.3)}, "512-interp", "is a 1024 checkpoint, expected 512-interp"),
        ({"scale_arr": torch.full((1400,), 0.5)}, "512", "no known DynamiCrafter checkpoint, expected 512"),
    ],
)
def test_checkpoint_of_another_variant(tmp_path, tensors, change, wanted, message):
    path = write(tmp_path / "model.ckpt", tensors | change, "lightning")
    with pytest.raises(InputError, match=message):
        load_official(path, VARIANTS[wanted])


def test_checkpoint_of_another_model(tmp_path):
    path = write(tmp_path / "model.safetensors", {"decoder.weight": torch.zeros(3)}, "safetensors")
    with pytest.raises(InputError, match=r"no DynamiCrafter checkpoint.*decoder\.weight"):
        load_official(path, VARIANTS["512"])


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"no checkpoint at .*absent\.ckpt"):
        load_official(tmp_path / "absent.ckpt", VARIANTS["512"])


@pytest.mark.parametrize("kept", [0.5, 0.999])
@pytest.mark.parametrize("kind", ["lightning", "safetensors"])
def test_truncated_file(tmp_path, tensors, kind, kept):
    path = write(tmp_path / "model", tensors, kind)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(InputError, match="truncated or corrupted"):
        load_official(path, VARIANTS["512"])


@pytest.mark.parametrize("content", [b"", b"<!doctype html>", b"version https://git-lfs.github.com/spec/v1\n"])
def test_something_else_saved_in_its_place(tmp_path, content):
    path = tmp_path / "model.ckpt"
    path.write_bytes(content)
    with pytest.raises(InputError, match="neither a PyTorch checkpoint"):
        load_official(path, VARIANTS["512"])


class Payload:
    """Stands for code in a pickled file."""


def test_pickled_objects_are_refused(tmp_path):
    path = tmp_path / "model.ckpt"
    torch.save({"state_dict": {}, "callback": Payload()}, path)
    with pytest.raises(InputError, match="can run code"):
        load_official(path, VARIANTS["512"])
