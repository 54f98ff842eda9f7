"""What docs/scoring.md shows works as it says."""

import re
from pathlib import Path

import pytest
import yaml

from stereozero.metrics import METRICS
from stereozero.plan import Plan, resolve
from stereozero.stages.evaluate import EVALUATE

REPOSITORY = Path(__file__).parents[1]
PAGE = (REPOSITORY / "docs" / "scoring.md").read_text(encoding="utf-8")


def block(language: str, first: str) -> str:
    """Return the page's one code block that begins so."""
    (found,) = re.findall(rf"^```{language}\n({re.escape(first)}.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    return found


@pytest.fixture
def plan(tmp_path, monkeypatch) -> Plan:
    """Return the plan of the page's example of outside results."""
    monkeypatch.chdir(tmp_path)
    manifest = block("csv", "clip_id,stereo_video")
    for name in re.findall(r"[\w/]+\.(?:mp4|mkv)", manifest):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "theirs.csv").write_text(manifest)
    content = yaml.safe_load(block("yaml", "run: theirs"))
    return resolve({**content, "published": str(REPOSITORY / "benchmark" / "published")}, "theirs.yaml")


def test_outside_results_get_the_papers_scores_and_the_disparity_achieved(plan):
    for clip in plan.clips:
        metrics = [artifact.parameters["name"] for artifact in EVALUATE.artifacts(plan, "theirs", clip)]
        columns = {score.name for metric in metrics for score in METRICS[metric].scores}
        assert columns >= {"clip_text", "clip_frame", "met3r", "disparity_kept", "disparity_p99"}


def test_a_true_view_would_give_psnr_and_siou(plan):
    assert {"fidelity", "siou"} <= set(plan.config.metrics)
