"""Cross-view attention against the released code's UNet outputs, and its window."""

import json

import numpy as np
import pytest
import torch
from dynamicrafter_goldens import build_unet, named_tensor, split_context
from parity import assert_equals_reference
from sampler_goldens import FOLDER, read_zipped

from stereozero.stereo.cross_view import Activity, AttentionWindow, CrossViewAttention


@pytest.fixture(scope="module")
def facts():
    return json.loads((FOLDER / "cross_view_attention.json").read_text())


@pytest.fixture(scope="module")
def golden():
    with np.load(FOLDER / "cross_view_attention.npz") as arrays:
        return {key: torch.from_numpy(arrays[key]) for key in arrays.files}


@pytest.fixture(scope="module")
def unet(facts):
    return build_unet({"constructor_args": facts["unet_config"], "weights": read_zipped("unet_tiny_params")})


def _evaluate(unet, facts, views):
    sample = named_tensor(facts["x"], (2, 8, 4, 16, 16))[views]
    context = split_context(named_tensor(facts["context"], (2, 141, 32))[views], frames=4)
    with torch.no_grad():
        return unet(sample, facts["t"], context["text"], context["image"], torch.full((len(sample),), facts["fs"]))


def _editor(unet, kind="all"):
    return CrossViewAttention(dict(unet.named_attentions()), kind, None, branches=1, one_batch=True)


@pytest.mark.parametrize(
    ("array", "calls"),
    [("out_on", slice(None)), ("out_from_call14", slice(13, None)), ("out_until_call13", slice(None, 13))],
)
def test_output_equals_the_released_code(unet, facts, golden, array, calls):
    attention = _editor(unet)
    activity = Activity((frozenset(list(dict(unet.named_attentions()))[calls]),))
    with attention.joining(activity):
        together = _evaluate(unet, facts, slice(None))
    assert_equals_reference(together, golden[array], 1e-4)
    with attention.recording() as queries:
        source = _evaluate(unet, facts, slice(0, 1))
    with attention.replaying(queries, activity):
        target = _evaluate(unet, facts, slice(1, 2))
    assert_equals_reference(torch.cat([source, target]), golden[array], 1e-4)


def test_afterwards_the_network_is_as_before(unet, facts, golden):
    attention = _editor(unet)
    with attention.joining(attention.activity(0)):
        _evaluate(unet, facts, slice(None))
    assert_equals_reference(_evaluate(unet, facts, slice(None)), golden["out_unregistered"], 1e-4)


def test_self_attention_leaves_out_attention_to_the_conditions(unet):
    names = dict(unet.named_attentions())
    (active,) = _editor(unet, "self").activity(0).calls
    assert {name for name in names if names[name].attends_to_context} == names.keys() - active
    assert len(active) == 21  # of 28: seven spatial transformers attend to text and image


def test_queries_past_the_limit_are_not_kept(unet, facts):
    with _editor(unet).recording(limit=1000) as queries:
        _evaluate(unet, facts, slice(0, 1))
    assert queries.overflowed
    assert not queries.by_module


def test_the_window_counts_calls_not_steps():
    modules = dict.fromkeys(f"m{index:02}" for index in range(64))
    attention = CrossViewAttention(modules, "all", AttentionWindow(1, 2), branches=2, one_batch=True)
    assert attention.activity(0).calls == (frozenset(), {"m63"})  # the 128th call already belongs to the next unit
    assert attention.activity(1).calls == (modules.keys(), modules.keys() - {"m63"})
    assert not attention.activity(2)
