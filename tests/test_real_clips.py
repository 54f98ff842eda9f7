"""The example of stereo from existing videos is valid once the videos lie where its manifest names them."""

import csv
from pathlib import Path

import pytest

from stereozero.config import read_yaml
from stereozero.errors import InputError
from stereozero.plan import resolve

REPOSITORY = Path(__file__).parents[1]
MANIFEST = Path("benchmark/manifests/real-clips.csv")


@pytest.fixture
def content(monkeypatch, tmp_path) -> dict:
    monkeypatch.chdir(REPOSITORY)
    return {**read_yaml(Path("benchmark/real-clips.yaml")), "results": str(tmp_path / "results")}


def test_every_method_runs_on_every_video(content, tmp_path):
    copy = tmp_path / MANIFEST.name
    copy.write_text(MANIFEST.read_text(encoding="utf-8"), encoding="utf-8")
    for row in csv.DictReader(copy.open(encoding="utf-8")):
        (tmp_path / row["source_video"]).parent.mkdir(exist_ok=True)
        (tmp_path / row["source_video"]).touch()
    plan = resolve({**content, "manifest": str(copy)}, "real-clips.yaml")
    assert {name: len(plan.method_clips(name)) for name in plan.config.methods} == {
        "mono-copy": 2,
        "warp-fill": 2,
        "ours": 2,
    }


def test_a_video_that_is_missing_is_named_before_any_work(content, tmp_path):
    copy = tmp_path / MANIFEST.name  # the videos do not lie beside the copy
    copy.write_text(MANIFEST.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(InputError, match=r"source_video.*videos/a_woman_looking_out_in_the_rain\.mp4"):
        resolve({**content, "manifest": str(copy)}, "real-clips.yaml")
