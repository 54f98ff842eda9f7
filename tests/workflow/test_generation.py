"""From images to tables, run by Snakemake, with a tiny model of named tensors."""

import pandas as pd
import pytest

from stereozero.cli import main
from stereozero.video import read_video

pytestmark = pytest.mark.slow


@pytest.fixture
def small(image_config) -> dict:
    """Return a configuration whose run is short: few scores, one format."""
    return {**image_config, "metrics": ["fidelity", "disparity"], "delivery": {"formats": ["full-sbs"]}}


def test_images_go_through_generation_to_tables_and_a_gallery(run, small, tmp_path):
    small["discard_latents"] = True
    first = run(small)
    assert first.status == 0, first.text
    folder = tmp_path / "results" / "test"
    scores = pd.read_csv(folder / "tables" / "scores.csv")
    assert set(scores["clip_id"]) == {"plain", "between", "round"}
    lengths = {
        clip: len(read_video(folder / "targets" / "mono-copy" / clip / "target.mkv").frames)
        for clip in ("plain", "between", "round")
    }
    assert lengths == {"plain": 4, "between": 2, "round": 3}
    assert (folder / "delivery" / "mono-copy" / "between" / "between_LRF_Full_SBS.mp4").is_file()
    page = (folder / "gallery" / "index.html").read_text()
    assert "round.png" in page
    assert "inputs/between/end_image.png" in page
    assert "step 3 of 3" in (folder / "logs" / "generate" / "1of1.log").read_text()
    assert not list(folder.glob("generated/*/trajectory.safetensors"))
    assert main(["verify", str(folder)]) == 0
    assert "Nothing to be done" in run(small).text


def test_missing_weights_are_one_message(run, small):
    small |= {
        "video": {"height": 320, "width": 512, "frames": 16},
        "generator": {"kind": "dynamicrafter", "variant": 512, "checkpoint": "nowhere.ckpt"},
    }
    outcome = run(small)
    assert outcome.status == 1
    assert "generator.checkpoint: there is no file nowhere.ckpt" in outcome.text
    assert "Traceback" not in outcome.text
