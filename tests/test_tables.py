import pandas as pd
import pytest

from stereozero.metrics.statistics import BootstrapParameters
from stereozero.tables import paired_differences, plain_markdown, summarise, summary_markdown, with_published

PARAMETERS = BootstrapParameters(resamples=200, seed=1)


def scores(*rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["method", "clip_id", "score", "value"])


def test_means_over_clips_with_undefined_values_left_out_and_counted():
    table = summarise(
        scores(("a", "1", "psnr", 10.0), ("a", "2", "psnr", 30.0), ("a", "3", "psnr", None), ("b", "1", "psnr", 5.0)),
        ("psnr", "ssim"),
        PARAMETERS,
    )
    first, second = table.to_dict("records")
    assert (first["method"], first["clips"], first["psnr"], first["psnr_clips"]) == ("a", 3, 20.0, 2)
    assert 10 <= first["psnr_low"] < 20 < first["psnr_high"] <= 30
    assert (second["psnr"], second["psnr_low"]) == (5.0, None) or pd.isna(second["psnr_low"])
    assert "ssim" not in table.columns
    assert "| a | 3 | 20.00 [" in summary_markdown(table, ("psnr",))
    assert "(2 clips) |" in summary_markdown(table, ("psnr",))


def test_published_rows_stay_apart():
    table = with_published(
        pd.DataFrame({"method": ["ours"], "psnr": [3.0]}), pd.DataFrame({"method": ["ours"], "met3r": [4.95]})
    )
    assert table.set_index("origin").loc["measured", "psnr"] == pytest.approx(3.0)
    assert pd.isna(table.set_index("origin").loc["published", "psnr"])
    assert table.columns[0] == "origin"


def test_empty_cells_are_dashes():
    assert plain_markdown(pd.DataFrame({"a": [1.5, None]})) == "| a |\n| --- |\n| 1.5 |\n| – |\n"


def test_differences_are_paired_by_clip():
    table = paired_differences(
        scores(
            ("a", "1", "psnr", 12.0),
            ("a", "2", "psnr", 33.0),
            ("a", "3", "psnr", 9.0),
            ("b", "1", "psnr", 10.0),
            ("b", "2", "psnr", 30.0),
            ("b", "3", "psnr", None),
        ),
        ("psnr", "ssim"),
        "b",
        PARAMETERS,
    )
    (row,) = table.to_dict("records")
    assert (row["method"], row["clips"], row["psnr"], row["psnr_clips"]) == ("a", 3, 2.5, 2)
    assert 2 <= row["psnr_low"] < 2.5 < row["psnr_high"] <= 3
