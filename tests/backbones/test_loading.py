import pytest
import torch
from safetensors.torch import save_file
from tiny_dynamicrafter import build_modules, official_tensors

from stereozero.backbones.dynamicrafter import DynamiCrafter, Modules, checkpoint
from stereozero.backbones.dynamicrafter.official_keys import is_ignored
from stereozero.backbones.loading import explaining_memory, load_backbone
from stereozero.config.generator import DynamiCrafterGenerator
from stereozero.diffusion.backbone import ClipRequest
from stereozero.errors import InputError, StageError


def generator(**settings) -> DynamiCrafterGenerator:
    return DynamiCrafterGenerator(kind="dynamicrafter", **settings)


def test_settings_reach_the_model(tiny_model):
    model = load_backbone(
        generator(folder=str(tiny_model), dtype="bf16", vae_frames=3, dynamic_rescale=1, offload=True), "cpu", None
    )
    assert model.modules.unet.dtype == torch.bfloat16
    assert model.frames_at_once == 3
    assert set(model.schedule.scale) == {1}
    assert model.device == torch.device("cpu")


@pytest.mark.parametrize(("offload", "home"), [(False, "cuda"), (True, "cpu")])
def test_an_official_file_is_read_to_where_it_is_wanted(monkeypatch, tmp_path, tiny_model, offload, home):
    calls, moved = [], []

    def read(path, variant, **options):
        calls.append((path, variant.name, options))
        return DynamiCrafter.from_pretrained(tiny_model)

    monkeypatch.setattr(DynamiCrafter, "from_official", read)
    monkeypatch.setattr(DynamiCrafter, "offload_to", lambda self, device: moved.append(device))
    load_backbone(generator(variant="512", dtype="fp16", offload=offload), "cuda", tmp_path / "model.ckpt")
    assert calls == [(tmp_path / "model.ckpt", "512", {"device": home, "dtype": torch.float16})]
    assert moved == (["cuda"] if offload else [])


@pytest.mark.parametrize("wanted", [False, True])
def test_compile_reaches_the_unet(tiny_model, monkeypatch, wanted):
    calls = []

    def compiled(function):
        def call(*inputs, **options):
            calls.append(function.__self__)
            return function(*inputs, **options)

        return call

    monkeypatch.setattr(torch, "compile", compiled)
    model = load_backbone(generator(folder=str(tiny_model), compile=wanted), "cpu", None)
    noise, picture = torch.zeros(1, 4, 4, 8, 12), torch.zeros(3, 32, 48)
    model.predict(noise, 500, model.encode_conditioning([ClipRequest("a ball", 1, picture)]).conditional)
    assert calls == ([model.modules.unet] if wanted else [])


def test_a_pruned_bf16_file_is_read(tmp_path, tiny_model, monkeypatch):
    pruned = {key: value.bfloat16() for key, value in official_tensors().items() if not is_ignored(key)}
    save_file(pruned, tmp_path / "pruned_bf16.safetensors")
    monkeypatch.setattr(checkpoint, "build_on_meta", lambda variant: _tiny_on_meta())
    settings = generator(variant="512", dtype="bf16")
    read = load_backbone(settings, "cpu", tmp_path / "pruned_bf16.safetensors").modules.named()
    whole = DynamiCrafter.from_pretrained(tiny_model, dtype=torch.bfloat16).modules.named()
    for name, network in whole.items():
        for key, value in network.state_dict().items():
            assert torch.equal(read[name].state_dict()[key], value), key


def _tiny_on_meta() -> Modules:
    with torch.device("meta"):
        return build_modules()


def test_a_checkpoint_that_is_none_is_refused(tmp_path):
    (tmp_path / "model.ckpt").write_text("<html>")
    with pytest.raises(InputError, match="neither a PyTorch checkpoint"):
        load_backbone(generator(variant="256"), "cpu", tmp_path / "model.ckpt")


@pytest.mark.parametrize(
    ("error", "where"),
    [
        (torch.cuda.OutOfMemoryError("CUDA out of memory"), "the GPU (CUDA out of memory)"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "this machine (DefaultCPUAllocator"),
        (MemoryError(), "this machine (MemoryError)"),
    ],
)
def test_exhausted_memory_is_explained(error, where):
    with pytest.raises(StageError) as caught, explaining_memory(generator(variant="1024", vae_frames=16)):
        raise error
    assert f"not enough memory on {where}" in str(caught.value)
    assert "'dtype: bf16', 'guidance_in_one_batch: false', 'vae_frames: 1'" in str(caught.value)
    assert ("offload" in str(caught.value)) == ("GPU" in where)


def test_knobs_that_are_turned_already_are_not_named():
    frugal = generator(variant="1024", dtype="fp16", guidance_in_one_batch=False, offload=True)
    with pytest.raises(StageError, match="take a smaller variant or a larger GPU"), explaining_memory(frugal):
        raise torch.cuda.OutOfMemoryError


def test_other_errors_pass():
    with pytest.raises(RuntimeError, match="shapes"), explaining_memory(generator(variant="256")):
        raise RuntimeError("shapes don't fit")
