import logging

import pytest
import torch
from dynamicrafter_goldens import fill, named_state, named_tensor, read_case
from parity import relative_error

from stereozero.backbones.clip_image import prepare_image
from stereozero.backbones.dynamicrafter import ClipConditioner
from stereozero.backbones.dynamicrafter.official_keys import is_ignored

PREPROCESSED = [
    "preprocess_320x512",
    "preprocess_576x1024",
    "preprocess_256x256",
    "preprocess_100x150",
    "preprocess_160x512",
]


@pytest.fixture(scope="module")
def golden():
    facts, expected = read_case("clip_tiny")
    config = facts["constructor_args"]["open_clip_CLIP"]
    names = ("embed_dim", "vision_cfg", "text_cfg")
    conditioner = ClipConditioner(**{name: config[name] for name in names})
    # As in a checkpoint: the text tower of one group, the vision tower of the other.
    image_side = {key: shape for key, shape in facts["weights_image"].items() if not is_ignored(f"embedder.{key}")}
    fill(conditioner, named_state(facts["weights_text"] | image_side))
    return conditioner, facts["cases"], expected


def test_token_ids(golden):
    conditioner, cases, _ = golden
    case = cases["text_penultimate"]
    tokens = conditioner.tokenize(case["prompts"])
    assert tokens.shape == (3, 77)
    for row, expected in zip(tokens.tolist(), case["tokens_without_trailing_zero_padding"], strict=True):
        assert row == expected + [0] * (77 - len(expected))


@pytest.mark.parametrize(("case", "skipped"), [("text_penultimate", 1), ("text_last", 0)])
def test_text_equals_the_reference(golden, case, skipped):
    conditioner, cases, expected = golden
    config = {name: conditioner.config[name] for name in ("embed_dim", "vision_cfg", "text_cfg")}
    variant = ClipConditioner(**config, text_layers_skipped=skipped).eval()
    variant.load_state_dict(conditioner.state_dict())
    with torch.no_grad():
        assert relative_error(variant.encode_text(cases[case]["prompts"]), expected[case]) < 1e-4


def test_image_tokens_equal_the_reference(golden):
    conditioner, cases, expected = golden
    with torch.no_grad():
        tokens = conditioner.encode_image(named_tensor(*cases["image_tokens"]["input"]))
    assert relative_error(tokens, expected["image_tokens"]) < 1e-3


@pytest.mark.parametrize("case", PREPROCESSED)
def test_preprocessing_equals_the_reference(golden, case):
    _, cases, expected = golden
    pixels = cases[case]["pixels"]
    prepared = prepare_image(named_tensor(*cases[case]["input"]), 224)
    assert relative_error(prepared[:, :, pixels][..., pixels], expected[case]) < 1e-3


def test_a_prompt_that_is_too_long_is_announced(golden, caplog):
    conditioner, cases, _ = golden
    with caplog.at_level(logging.WARNING):
        conditioner.tokenize(cases["text_penultimate"]["prompts"])
    assert len(caplog.records) == 1
    assert "only the first 75 are used" in caplog.text


def test_mask_is_restored(golden):
    conditioner, _, _ = golden
    mask = conditioner.model.attn_mask.clone()
    conditioner.model.attn_mask = None
    conditioner.restore_buffers()
    torch.testing.assert_close(conditioner.model.attn_mask, mask)
