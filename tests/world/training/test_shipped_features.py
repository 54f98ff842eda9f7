"""The feature models in ``models/features`` as they are shipped, on held-out clips: a guard against worse ones."""

from pathlib import Path

import pytest

from stereozero.config.scoring import ClipScoring, Met3rScoring
from stereozero.metrics.networks import load_network
from stereozero.world.training.data import PoolSettings, open_pool
from stereozero.world.training.features_evaluation import (
    caption_retrieval,
    damage_scores,
    held_out_pairs,
    ranking_figures,
)

pytestmark = pytest.mark.slow

FEATURES = Path(__file__).parents[3] / "models" / "features"


def test_clip_finds_the_caption_of_a_held_out_clip_among_20(tmp_path):
    encoder = load_network(ClipScoring(folder=str(FEATURES / "clip")), "cpu")
    pool = open_pool(tmp_path, PoolSettings(clips=20, frames=3, split="held-out"))
    assert all(caption_retrieval(encoder, pool, how) >= 0.8 for how in ("crop", "squeeze"))


def test_met3r_finds_the_worse_of_two_right_views():
    scorer = load_network(Met3rScoring(hub=str(FEATURES / "dinov2"), entry="dinov2"), "cpu")
    figures = ranking_figures(damage_scores(scorer, held_out_pairs(clips=8, frames=2)))
    assert figures["all"] >= 0.95
    hard = {"other < noise"}  # both are nothing like the true view; docs/scoring.md tells its share
    assert min(share for pair, share in figures["ordered"].items() if pair not in hard) > 0.85
