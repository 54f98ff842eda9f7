import numpy as np
import pytest

from stereozero.errors import InputError
from stereozero.metrics.clip_pair import ClipPair
from stereozero.metrics.matching import MatchParameters

VIDEO = np.zeros((2, 64, 96, 3), np.uint8)


def test_known_parts():
    assert ClipPair(VIDEO, VIDEO).known == frozenset()
    pair = ClipPair(VIDEO, VIDEO, truth=VIDEO, mask=np.zeros((2, 64, 96), bool))
    assert pair.known == {"truth", "mask"}


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"truth": VIDEO[:1]}, "truth: shape"),
        ({"mask": np.zeros((2, 64, 95), bool)}, "mask: shape"),
        ({"true_disparity": np.zeros((2, 64, 95))}, "true disparity: shape"),
        ({"target_side": "centre"}, "target side: 'centre'"),
        ({"convergence": float("nan")}, "convergence: nan is out of range; .* percent of width"),
    ],
)
def test_each_part_is_checked(parts, message):
    with pytest.raises(InputError, match=message):
        ClipPair(VIDEO, VIDEO, **parts)


def test_views_are_matched_once_for_each_choice(shifted_views):
    pair = ClipPair(*shifted_views(64, 96, 1.0))
    assert pair.match(MatchParameters()) is pair.match(MatchParameters())
    assert pair.match(MatchParameters()) is not pair.match(MatchParameters(block=7))


def test_another_convergence_keeps_the_stereo_matches(shifted_views):
    pair = ClipPair(*shifted_views(64, 96, 1.0))
    match = pair.match(MatchParameters())
    shifted = pair.at_convergence(1.5)
    assert (pair.convergence, shifted.convergence) == (0.0, 1.5)
    assert shifted.match(MatchParameters()) is match
