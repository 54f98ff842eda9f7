"""CLIP-T and CLIP-F: preparation of frames, cosines, long prompts, both columns, and reading models."""

import numpy as np
import pytest
import torch
import torchvision.transforms as transforms
from PIL import Image
from safetensors.torch import save_file

from stereozero.backbones.clip_image import CLIP_MEAN, CLIP_STD
from stereozero.errors import InputError
from stereozero.metrics import METRICS, ClipPair
from stereozero.metrics.clip import measure_clip_frame, measure_clip_text
from stereozero.metrics.clip_encoder import ClipEncoder, prepare_frames
from stereozero.world.training.clip import ClipSettings, build_conditioner

TINY = ClipSettings(embed_dim=16, image_size=32, image_width=32, image_layers=1, text_width=16, text_layers=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a saved, untrained CLIP."""
    folder = tmp_path_factory.mktemp("clip")
    build_conditioner(TINY).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def encoder(folder):
    return ClipEncoder.saved(folder, batch=2)


@pytest.fixture
def videos():
    return np.random.default_rng(0).integers(0, 256, (2, 5, 48, 64, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [(48, 64), (65, 37), (20, 31), (32, 32)])
def test_frames_are_prepared_as_openai_does(size):
    frame = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    reference = transforms.Compose(
        [
            transforms.Resize(32, interpolation=transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(32),
            transforms.ToTensor(),
            transforms.Normalize(CLIP_MEAN, CLIP_STD),
        ]
    )
    assert torch.allclose(prepare_frames(frame[None], 32, "crop")[0], reference(Image.fromarray(frame)), atol=1e-6)


def test_squeezing_keeps_the_sides_that_cropping_cuts_off():
    video = np.zeros((1, 32, 64, 3), dtype=np.uint8)
    video[:, :, :8] = 255
    assert prepare_frames(video, 32, "crop").unique().numel() == 3  # black alone, a channel each
    squeezed = prepare_frames(video, 32, "squeeze")
    assert squeezed.shape == (1, 3, 32, 32)
    assert (squeezed[..., :3] > squeezed[..., -1:]).all()


def test_scores_are_mean_cosines_times_100(encoder, videos):
    pair = ClipPair(*videos, prompt="a red ball")
    frames = [encoder.embed_frames(view, "crop") for view in videos]
    result = measure_clip_frame(pair, encoder)
    expected = [100 * float(a @ b) for a, b in zip(*frames, strict=True)]
    assert result.per_frame["clip_frame"] == pytest.approx(expected)
    assert result.clip["clip_frame"] == pytest.approx(np.mean(expected))
    text = measure_clip_text(pair, encoder)
    assert text.clip["clip_text"] == pytest.approx(100 * np.mean(frames[1] @ encoder.embed_text("a red ball")))
    assert text.clip["clip_text_source"] == pytest.approx(100 * np.mean(frames[0] @ encoder.embed_text("a red ball")))
    assert text.clip["clip_text_squeezed"] != text.clip["clip_text"]
    assert text.notes == []


def test_a_copy_scores_100(encoder, videos):
    clip = measure_clip_frame(ClipPair(videos[0][:1], videos[0][:1]), encoder).clip
    assert list(clip.values()) == pytest.approx([100, 100])


def test_batches_change_nothing(encoder, folder, videos):
    whole = ClipEncoder.saved(folder, batch=64).embed_frames(videos[0], "crop")
    assert np.allclose(encoder.embed_frames(videos[0], "crop"), whole, atol=1e-6)


def test_views_are_embedded_once_for_both_metrics(encoder, videos, monkeypatch):
    calls = []
    original = ClipEncoder.embed_frames
    monkeypatch.setattr(
        ClipEncoder, "embed_frames", lambda self, *given: calls.append(given[1]) or original(self, *given)
    )
    pair = ClipPair(*videos, prompt="a red ball")
    METRICS["clip_text"].measure(pair, encoder)
    METRICS["clip_frame"].measure(pair, encoder)
    assert sorted(calls) == ["crop", "crop", "squeeze", "squeeze"]


def test_a_long_prompt_is_cut_and_said(encoder, videos):
    result = measure_clip_text(ClipPair(*videos, prompt="ball " * 80), encoder)
    assert any("its last 5 tokens are not used" in note for note in result.notes)
    assert np.allclose(encoder.embed_text("ball " * 80), encoder.embed_text("ball " * 75))


def test_black_views_are_alike_and_it_is_said(encoder, videos):
    black = np.zeros_like(videos[0])
    result = measure_clip_frame(ClipPair(black, black), encoder)
    assert result.clip["clip_frame"] == pytest.approx(100)
    assert any("of one colour in 5 of 5 frames" in note for note in result.notes)


def test_a_black_target_is_compared_with_the_prompt_as_any_other(encoder, videos):
    black = np.zeros_like(videos[0])
    result = measure_clip_text(ClipPair(videos[0], black, prompt="a red ball"), encoder)
    expected = 100 * float(encoder.embed_frames(black[:1], "crop")[0] @ encoder.embed_text("a red ball"))
    assert result.per_frame["clip_text"] == pytest.approx([expected] * len(black))
    assert result.clip["clip_text"] == pytest.approx(expected)
    assert result.clip["clip_text_squeezed"] == pytest.approx(expected)  # black is black, however it is cut


def test_what_is_no_saved_clip_is_named(tmp_path):
    with pytest.raises(InputError, match="holds no saved CLIP"):
        ClipEncoder.saved(tmp_path)


def test_the_published_file_is_read_strictly(tmp_path, monkeypatch):
    config = {
        "embed_dim": 16,
        "quick_gelu": True,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "patch_size": 16, "head_width": 16},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 1, "layers": 1},
    }
    monkeypatch.setattr("open_clip.get_model_config", lambda name: config)
    import open_clip

    torch.manual_seed(0)
    model = open_clip.CLIP(**config)
    save_file(model.state_dict(), tmp_path / "open_clip_model.safetensors")
    encoder = ClipEncoder.openai(tmp_path / "open_clip_model.safetensors")
    assert torch.equal(encoder.model.text_projection, model.text_projection)
    assert isinstance(encoder.model.visual.transformer.resblocks[0].mlp.gelu, open_clip.transformer.QuickGELU)
    save_file({"other": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="1 unexpected: other"):
        ClipEncoder.openai(tmp_path / "other.safetensors")
