import pandas as pd
import pytest

from stereozero.config import parse_config
from stereozero.metrics.statistics import BootstrapParameters
from stereozero.plan import Plan
from stereozero.tables import (
    paired_differences,
    plain_markdown,
    reference_method,
    summarise,
    summary_markdown,
    with_not_run,
    with_published,
    with_titles,
)

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


def test_titles_say_scale_direction_and_crop_in_every_column_of_a_score():
    table = pd.DataFrame(
        {"method": ["a"], "met3r": [1.0], "met3r_low": [0.5], "met3r_stereo": [9.0], "psnr_clips": [1]}
    )
    table["difference_clip_text_high"] = 2.0
    assert list(with_titles(table)) == [
        "method",
        "met3r_x100_symmetric_all_frames",
        "met3r_x100_symmetric_all_frames_low",
        "met3r_stereo",
        "psnr_clips",
        "difference_clip_text_x100_target_all_frames_crop_high",
    ]


def test_published_scores_stand_in_columns_of_their_own():
    measured = pd.DataFrame({"method": ["ours"], "met3r": [2.0]})
    table = with_titles(with_published(measured, pd.DataFrame({"method": ["ours"], "met3r": [4.95]})))
    ours, theirs = table.to_dict("records")
    assert (ours["met3r_x100_symmetric_all_frames"], theirs["published_met3r_x100"]) == (2, 4.95)
    assert pd.isna(ours["published_met3r_x100"])
    assert pd.isna(theirs["met3r_x100_symmetric_all_frames"])


@pytest.mark.parametrize(
    ("methods", "expected"),
    [
        ({"mono-copy": "mono-copy", "theirs": "finished", "ours": "ours"}, "ours"),
        ({"paper": "ours", "theirs": "finished"}, "paper"),
        ({"ground-truth": "ground-truth", "theirs": "finished"}, "theirs"),
        ({"mono-copy": "mono-copy"}, "mono-copy"),
    ],
)
def test_differences_are_taken_from_ours_else_from_the_first_that_is_no_control(methods, expected, world_config):
    depth = {"ours": {"depth": "world"}}
    settings = {name: {"kind": kind, **depth.get(kind, {})} for name, kind in methods.items()}
    config = parse_config({**world_config, "methods": settings}, "config.yaml")
    assert reference_method(Plan(config, ())) == expected


def test_rows_without_scores_leave_counts_whole_numbers():
    measured = pd.DataFrame({"method": ["a"], "clips": [3], "psnr": [30.0], "psnr_clips": [2]})
    published = pd.DataFrame({"method": ["b"], "clip_t": [29.0]})
    table = with_published(with_not_run(measured, {"c": "no weights"}), published)
    written = table.to_csv(columns=["method", "psnr_clips"], index=False)
    assert written.split() == ["method,psnr_clips", "a,2", "c,0", "b,"]
