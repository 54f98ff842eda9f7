import csv

import pytest

from stereozero.errors import InputError, StageError
from stereozero.stereo import warp_timing
from stereozero.stereo.warp_timing import time_warps, write_timings


def test_every_implementation_is_timed_at_every_size(tmp_path):
    timings = time_warps((16, 8), repeats=3, loop_repeats=2, channels=4)
    names = ["loop", "unique", "ours-whole", "ours-subpixel"]
    assert [(t.resolution, t.implementation) for t in timings] == [(size, name) for size in (16, 8) for name in names]
    assert [t.repeats for t in timings[:4]] == [2, 3, 3, 3]
    for timing in timings:
        assert 0 < timing.milliseconds_min <= timing.milliseconds_q1 <= timing.milliseconds_median
        assert (timing.device, timing.dtype, timing.channels, timing.strength) == ("cpu", "float32", 4, 4.0)
    write_timings(tmp_path / "table5.csv", timings)
    with (tmp_path / "table5.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [float(row["milliseconds_median"]) for row in rows] == [t.milliseconds_median for t in timings]


def test_an_implementation_that_differs_is_an_error(monkeypatch):
    monkeypatch.setattr(warp_timing, "unique_warp", lambda image, disparity, strength: image)
    with pytest.raises(StageError, match="warp implementations unique and loop differ at 32 pixels on cpu"):
        time_warps((32,), repeats=1, strength=20)


@pytest.mark.parametrize("wrong", [{"repeats": 0}, {"loop_repeats": 0}, {"channels": 0}, {"resolutions": (8, 0)}])
def test_counts_must_be_positive(wrong):
    with pytest.raises(InputError, match="must be at least 1"):
        time_warps(**{"resolutions": (8,), **wrong})
