"""Border columns and their filling against the released code's."""

import json

import numpy as np
import pytest
import torch
from dynamicrafter_goldens import named_tensor
from parity import assert_equals_reference
from sampler_goldens import FOLDER

from stereozero.stereo.border import border_columns, clean_border

CASES = json.loads((FOLDER / "border.json").read_text())
BLENDS = ("t16_neg_realistic", "t16_one_frame_per_row")


@pytest.fixture(scope="module")
def golden():
    with np.load(FOLDER / "border.npz") as arrays:
        return {key: torch.from_numpy(arrays[key]) for key in arrays.files}


@pytest.mark.parametrize("name", CASES)
def test_columns_equal_the_released_code(golden, name):
    case = CASES[name]
    columns = border_columns(~golden[f"{name}/valid"].bool(), case["scale"], frames=16)
    assert int(columns.sum()) == case["n_border_columns"]
    expected = golden[f"{name}/border"].bool()
    assert torch.equal(columns.expand(expected.shape), expected)


@pytest.mark.parametrize("name", BLENDS)
def test_blend_equals_the_released_code(golden, name):
    expected = golden[f"{name}/filling_out"]
    source, filling = (named_tensor(f"input:border/{name}/{view}", expected.shape)[0] for view in ("left", "filling"))
    columns = border_columns(~golden[f"{name}/valid"].bool(), CASES[name]["scale"], frames=16)
    assert_equals_reference(clean_border(filling, source, columns, 0.9), expected[0], 1e-6)


def test_short_clips_have_a_border_when_their_own_length_counts():
    blank = torch.zeros(4, 3, 8, dtype=torch.bool)
    blank[:, :, 6:] = True
    assert border_columns(blank, 4.0).tolist() == [False] * 6 + [True] * 2
    assert not border_columns(blank, 4.0, frames=16).any()
    assert not border_columns(blank, -4.0).any()
