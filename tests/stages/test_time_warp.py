import pandas as pd

from stereozero.plan import resolve
from stereozero.stages.time_warp import time_warp


def test_table_5_has_all_implementations_and_the_published_times_apart(world_config):
    plan = resolve({**world_config, "warp_timing": {"sizes": [16, 32], "repeats": 2}}, "config.yaml")
    time_warp(plan)
    table = pd.read_csv(plan.paths.tables / "table5.csv")
    measured = table[table["origin"] == "measured"]
    assert set(measured["implementation"]) >= {"loop", "unique", "ours-whole"}
    assert set(measured["resolution"]) == {16, 32}
    assert (measured["milliseconds_mean"] > 0).all()
    assert len(table[table["origin"] == "published"]) == 4
    assert "## Published" in (plan.paths.tables / "table5.md").read_text()
