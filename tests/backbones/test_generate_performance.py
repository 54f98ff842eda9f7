"""The performance script of generation: what it prints, on the tiny model in one step."""

import re
import runpy
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmark" / "performance" / "generate.py"


@pytest.mark.parametrize("calls", [[], ["--two-calls"]])
def test_one_step_evaluates_both_branches(tiny_model, monkeypatch, capsys, calls):
    arguments = ["--folder", str(tiny_model), "--dtype", "fp32", "--device", "cpu", "--steps", "1", *calls]
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *arguments])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    printed = capsys.readouterr().out
    assert "4 frames of 48 x 32, fp32 on cpu" in printed
    parts = re.findall(r"^(\w[\w ]*?) +[\d.]+ s +(\d+) evaluations +\d+ MiB peak$", printed, re.MULTILINE)
    assert parts == [("conditioning", "0"), ("step 1", "2"), ("decoding", "0")]
    assert re.search(r"^2 evaluations; host memory peak \d+ MiB$", printed, re.MULTILINE)
