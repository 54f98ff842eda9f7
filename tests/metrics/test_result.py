import json
import math

import numpy as np
import pytest

from stereozero.metrics.result import MetricResult, mean_of_defined, note, undefined_notes


def test_nan_becomes_null_and_survives_json():
    result = MetricResult.from_values(
        {"a": np.array([1.0, math.nan])}, {"a": np.float32(1.5), "b": math.nan}, [note(["b", "c"], "nothing to see")]
    )
    text = json.dumps(result.to_json(), allow_nan=False)
    assert json.loads(text) == {
        "per_frame": {"a": [1.0, None]},
        "clip": {"a": 1.5, "b": None},
        "notes": ["b, c: nothing to see"],
    }
    assert MetricResult.from_json(json.loads(text)) == result


def test_an_undefined_clip_value_needs_a_reason():
    with pytest.raises(ValueError, match="without a reason in notes: psnr"):
        MetricResult.from_values({}, {"psnr": math.nan}, [note(["psnr_masked"], "the mask is empty")])


def test_infinity_is_refused():
    with pytest.raises(ValueError, match="psnr is infinite"):
        MetricResult.from_values({"psnr": [math.inf]}, {})


def test_columns_of_different_length_are_refused():
    with pytest.raises(ValueError, match="differ in length"):
        MetricResult.from_values({"a": [1.0], "b": [1.0, 2.0]}, {})


def test_undefined_frames_are_counted():
    assert undefined_notes(["a"], [1.0, math.nan, math.nan], "why") == ["a: undefined in 2 of 3 frames (why)"]
    assert undefined_notes(["a"], [1.0], "why") == []


def test_mean_leaves_out_nan():
    assert mean_of_defined([1.0, math.nan, 3.0]) == 2.0
    assert math.isnan(mean_of_defined([math.nan]))
    assert math.isnan(mean_of_defined([]))
