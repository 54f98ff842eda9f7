"""Nothing that a user's file says is run: no unsafe readers in the code, no unquoted text in the rules' commands."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
SOURCES = sorted([*(REPOSITORY / "src").rglob("*.py"), *(REPOSITORY / "benchmark").rglob("*.py")])
RULES = sorted([REPOSITORY / "Snakefile", *(REPOSITORY / "rules").glob("*.smk")])

# RoDynRF's own interpreter reads the file that RoDynRF has just written; see baselines/rodynrf_cameras.py.
ALLOWED = {("rodynrf_cameras.py", "torch.load")}
FORBIDDEN = {
    "eval", "exec", "os.system", "os.popen", "shutil.unpack_archive", "marshal.loads", "shelve.open",
    "pickle.load", "pickle.loads", "joblib.load", "yaml.load", "yaml.unsafe_load", "yaml.full_load",
}  # fmt: skip


def unsafe_calls(source: str) -> Iterator[str]:
    """Yield the names of calls that could run what a file says, or write outside a folder."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if (
            name in FORBIDDEN
            or name.endswith((".extractall", ".extract"))
            or (name == "torch.load" and given.get("weights_only") != "True")
            or given.get("shell") == "True"
            or given.get("allow_pickle") == "True"
        ):
            yield name


@pytest.mark.parametrize(
    "line",
    ["torch.load(p)", "torch.load(p, weights_only=False)", "subprocess.run(c, shell=True)", "yaml.load(t, Loader)"],
)
def test_the_check_finds_unsafe_calls(line):
    assert list(unsafe_calls(line)) == [line.partition("(")[0]]


def test_no_code_reads_files_in_a_way_that_could_run_them():
    found = {(path.name, name) for path in SOURCES for name in unsafe_calls(path.read_text(encoding="utf-8"))}
    assert found == ALLOWED


def test_rules_quote_all_that_they_pass_to_a_shell():
    commands = [
        command
        for path in RULES
        for command in re.findall(r"^ +shell:\n((?: +.*\n)+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert len(commands) > 8
    fields = {field for command in commands for field in re.findall(r"(?<!\{)\{([^{}]+)\}(?!\})", command)}
    hashes_and_numbers = {"threads", "job.stage.code"}
    assert {field for field in fields if not field.endswith(":q")} == hashes_and_numbers
