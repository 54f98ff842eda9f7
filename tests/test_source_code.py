from pathlib import Path

import pytest

from stereozero import source_code
from stereozero.source_code import code_fingerprint


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """Let the package consist of a stage, which imports a helper inside a function, and a bystander."""
    (tmp_path / "parts").mkdir()
    (tmp_path / "stage.py").write_text("def make():\n    from stereozero.parts import helper\n    helper.number()\n")
    (tmp_path / "parts" / "__init__.py").write_text("")
    (tmp_path / "parts" / "helper.py").write_text("from stereozero.config.part import x\ndef number():\n    return 1\n")
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "__init__.py").write_text("")
    (tmp_path / "config" / "part.py").write_text("x = 1\n")
    (tmp_path / "bystander.py").write_text("y = 1\n")
    monkeypatch.setattr(source_code, "_FOLDER", tmp_path)
    return tmp_path


def fingerprint() -> str:
    for cached in (code_fingerprint, source_code._imports, source_code._tree):
        cached.cache_clear()
    return code_fingerprint("stereozero.stage")


@pytest.mark.parametrize(
    ("name", "text", "changes"),
    [
        ("stage.py", "def make():\n    return 2\n", True),
        ("parts/helper.py", "def number():\n    return 2\n", True),
        ("parts/helper.py", "from stereozero.config.part import x\n\n# remark\ndef number():\n    return 1\n", False),
        ("config/__init__.py", "x = 2\n", False),
        ("config/part.py", "x = 2\n", False),
        ("bystander.py", "y = 2\n", False),
    ],
)
def test_what_a_stage_is_made_of_and_nothing_else_changes_its_fingerprint(package, name, text, changes):
    before = fingerprint()
    (package / name).write_text(text)
    assert (fingerprint() != before) == changes


def test_a_stages_code_reaches_the_modules_that_do_its_work():
    modules_of = source_code._with_imports
    assert {"stereozero.delivery", "stereozero.video"} <= modules_of("stereozero.stages.deliver")
    assert "stereozero.baselines.warp_fill" in modules_of("stereozero.stages.baseline")
    assert not [name for name in modules_of("stereozero.stages.deliver") if name.startswith("stereozero.config")]
