"""The performance script of the sampler: what it prints, on the tiny model in few steps."""

import re
import runpy
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmark" / "performance" / "sampler.py"


@pytest.fixture
def printed(tiny_model, monkeypatch, capsys) -> str:
    """What the script prints for five steps."""
    arguments = ["--folder", str(tiny_model), "--device", "cpu", "--steps", "5"]
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *arguments])
    monkeypatch.syspath_prepend(SCRIPT.parent)
    runpy.run_path(str(SCRIPT), run_name="__main__")
    return capsys.readouterr().out


def test_exact_mode_evaluates_less_and_gives_the_same(printed):
    rows = re.findall(r"^(\D{24}) +(\d+) ", printed, re.MULTILINE)
    # A restart of one step, seven times over, and four more steps with 7 + 5 + 5 further evaluations; two branches.
    source, target, facing = 2 * 5, 2 * (7 + 4 + 17), 2 * 5
    assert {name.strip(): int(count) for name, count in rows} == {
        "source": source,
        "target, exact": target + facing,
        "target, everything": 2 * target,
        "clip, exact": source + target + facing,
        "clip, everything": source + 2 * target,
    }
    assert float(re.search(r"largest difference (\S+);", printed).group(1)) < 1e-3
