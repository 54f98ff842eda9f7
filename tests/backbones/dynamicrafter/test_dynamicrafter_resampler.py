import pytest
import torch
from dynamicrafter_goldens import fill, named_state, named_tensor, read_case
from parity import relative_error

from stereozero.backbones.dynamicrafter import Resampler


@pytest.mark.parametrize("case", ["b1", "b2", "novideo"])
def test_equals_the_reference(case):
    facts, expected = read_case("resampler_tiny")
    inputs = facts["cases"][case]
    resampler = Resampler(**inputs.get("constructor_args", facts["constructor_args"]))
    fill(resampler, named_state(inputs.get("weights", facts["weights"])))
    with torch.no_grad():
        tokens = resampler(named_tensor(*inputs["input"]))
    if case != "novideo":
        assert tokens.shape[1] == 4  # one set of tokens a frame
        tokens = tokens.flatten(1, 2)
    assert relative_error(tokens, expected[inputs["output"]]) < 1e-4
