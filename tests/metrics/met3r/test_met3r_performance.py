"""The performance script of MEt3R: what it prints."""

import runpy
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[3] / "benchmark" / "performance" / "met3r.py"


def test_prints_a_line_for_each_geometry_and_each_part(monkeypatch, capsys):
    smallest = ["--geometries", "stereo", "--sides", "64", "--repeats", "1", "--device", "cpu", "--threads", "1"]
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *smallest])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    geometry = next(line for line in lines if line[:1] == ["stereo"])
    alone, whole, memory = map(float, geometry[2:])
    assert geometry[1] == "64"
    assert alone > whole > 0  # pairs a second
    assert memory > 50  # MiB
    parts = dict(line for line in lines if len(line) == 2)
    assert parts.keys() == {"renderer", "dino16", "dinov2", "bilinear", "featup"}
    assert all(float(seconds) > 0 for seconds in parts.values())
