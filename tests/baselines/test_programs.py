"""What holds for all adapters of other people's programs: how they are pinned, and what stops them."""

import re
from pathlib import Path

import pandas as pd
import pytest
from external_programs import conversion, program

from stereozero.baselines.readiness import PROGRAMS, adapter_of
from stereozero.errors import StageError

REPOSITORY = Path(__file__).parents[2]
SCRIPTS = {
    "propainter": "inference_propainter.py",
    "immersepro": "inference_video.py",
    "rodynrf": "scripts/generate_DPT.py",
}
"""What each adapter calls first."""


@pytest.mark.parametrize("name", PROGRAMS)
def test_code_packages_and_weights_are_pinned(name):
    declaration = adapter_of(name).DECLARATION
    assert declaration.name == name
    assert re.fullmatch(r"[0-9a-f]{40}", declaration.source.commit)
    assert re.fullmatch(r"3\.\d+", declaration.environment.python)
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==\d+(\.\d+)*", package) for package in declaration.environment.packages)
    assert all(
        weights.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", weights.sha256) for weights in declaration.weights
    )


@pytest.mark.parametrize("name", PROGRAMS)
def test_documents_name_the_files_without_a_checksum(name):
    for document in ("reference.md", "adding-a-baseline.md"):
        text = (REPOSITORY / "docs" / document).read_text(encoding="utf-8")
        for weights in adapter_of(name).DECLARATION.weights:
            if weights.sha256 is None:
                assert Path(weights.path).name in text


@pytest.mark.parametrize("name", PROGRAMS)
def test_published_numbers_are_where_the_declaration_says(name):
    published = adapter_of(name).DECLARATION.published
    if published.table:
        table = pd.read_csv(REPOSITORY / "benchmark" / "published" / f"{published.table}.csv")
        assert published.row in set(table["method"])
    assert published.notes


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_that_takes_too_long_is_ended(name, tmp_path):
    adapter = adapter_of(name)
    hanging = program(tmp_path / "code", {SCRIPTS[name]: "import time; time.sleep(600)"}, name, timeout_s=0.5)
    with pytest.raises(StageError, match=f"{name}: was ended after .* minutes; its log is .*'timeout_minutes'"):
        adapter.convert(conversion(tmp_path), hanging, adapter.Settings())
    assert SCRIPTS[name] in (tmp_path / "program.log").read_text()
