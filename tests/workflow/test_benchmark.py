"""The target 'benchmark': tables that are kept with the repository."""

import pandas as pd
import pytest

pytestmark = pytest.mark.slow


def test_every_table_is_made_anew_and_a_second_call_does_nothing(run, world_config, tmp_path):
    config = {
        **world_config,
        "metrics": ["disparity", "achieved"],
        "ablations": {"stereo": ["mono-copy", "warp-fill"]},
        "depth_tables": {"table6": ["warp-fill", "mono-copy"]},
    }
    first = run(config, "benchmark")
    assert first.status == 0, first.text
    folder = tmp_path / "benchmark" / "tables" / "test"
    kept = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert kept == {"scores.csv", "table1.csv", "paired.csv", "table6.csv", "ablations/stereo.csv"}
    made = tmp_path / "results" / "test" / "tables"
    assert all((folder / name).read_bytes() == (made / name).read_bytes() for name in kept)
    table = pd.read_csv(folder / "table1.csv").set_index("method")
    assert table.loc["mono-copy", "disparity_kept"] < 2 < table.loc["warp-fill", "disparity_kept"]
    assert not (tmp_path / "results" / "test" / "delivery").exists()  # nothing but what tables need was made
    assert "Nothing to be done" in run(config, "benchmark").text
    (folder / "paired.csv").unlink()
    again = run(config, "benchmark")
    assert set(again.jobs) == {"keep_paired", "benchmark"}


def test_table_5_is_left_to_its_own_target(run, world_config):
    outcome = run(world_config, "-n", "benchmark")
    assert outcome.status == 0, outcome.text
    assert "table5" not in outcome.jobs
    assert "keep_table1" in outcome.jobs
