"""ImmersePro's adapter, against a stand-in that crops and enlarges as it does, and shifts the view by two columns."""

import cv2
import numpy as np
import pytest
from external_programs import conversion, program

from stereozero.baselines.declaration import check_target
from stereozero.baselines.immersepro import BORDER, DECLARATION, WORKING_WIDTH, Settings, convert, restore_border
from stereozero.errors import StageError

CONVERTER = """
import argparse, pathlib
import cv2, numpy as np
from fractions import Fraction
from stereozero.video import read_video, write_mp4
parser = argparse.ArgumentParser()
parser.add_argument("-c", required=True)
parser.add_argument("--input_dir", type=pathlib.Path, required=True)
parser.add_argument("--output_dir", type=pathlib.Path, required=True)
parser.add_argument("--no_anaglyph", action="store_true", required=True)
given = parser.parse_args()
for path in given.input_dir.glob("*_input.mp4"):
    video = read_video(path)
    views = []
    for frame in video.frames:
        size = frame.shape[1::-1]
        working = cv2.resize(frame, (384, 384), interpolation=cv2.INTER_CUBIC)
        left, right = (cv2.resize(view[:, 5:-5], size, interpolation=cv2.INTER_CUBIC)
                       for view in (working, np.roll(working, -12, axis=1)))
        views.append(np.concatenate([left, right], axis=1))
    frames = np.stack(views)
    {change}
    write_mp4(given.output_dir / f"{path.stem}_immersepro_sbs.mp4", frames, video.fps, crf=2)
"""


def converter(tmp_path, change: str = "pass"):
    return program(tmp_path / "code", {"inference_video.py": CONVERTER.replace("{change}", change)}, "immersepro")


def test_the_border_is_given_back(tmp_path):
    smooth = np.linspace(40, 200, 384).astype(np.uint8)
    frame = np.repeat(np.broadcast_to(smooth[None, :, None], (16, 384, 3)).copy()[None], 2, axis=0)
    cut = np.stack([cv2.resize(view[:, 5:-5], (384, 16), interpolation=cv2.INTER_CUBIC) for view in frame])
    restored = restore_border(cut).astype(int)
    assert np.abs(restored - frame)[:, :, BORDER:-BORDER].max() <= 1
    assert np.abs(cut.astype(int) - frame).max() >= 2  # so there was something to undo
    assert (restored[:, :, :BORDER] == restored[:, :, BORDER - 1 : BORDER]).all()


@pytest.mark.parametrize(("height", "width"), [(48, 96), (47, 95)])
@pytest.mark.parametrize("strength", [4.0, -4.0])
def test_the_target_is_the_right_or_the_mirrored_clips_right_view(tmp_path, height, width, strength):
    clip = conversion(tmp_path, height=height, width=width, strength=strength)
    target = check_target(convert(clip, converter(tmp_path), Settings()), clip, DECLARATION)
    shift = 12 * width / WORKING_WIDTH  # of the stand-in; to the left for a right view
    moved = np.stack([_shifted(frame, -shift if strength > 0 else shift) for frame in clip.source]).astype(int)
    inner = slice(8, -8)
    difference = np.abs(target - moved)[:, :, inner]
    assert difference.mean() < 3
    unmoved = np.abs(target - clip.source.astype(int))[:, :, inner]
    assert difference.mean() < unmoved.mean() / 3


def _shifted(frame: np.ndarray, columns: float) -> np.ndarray:
    matrix = np.float32([[1, 0, columns], [0, 1, 0]])
    return cv2.warpAffine(frame, matrix, frame.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("continue", "ended without an error, but left no .*clip_input_immersepro_sbs.mp4"),
        ("frames = frames[:3]", r"has shape \(3, 24, 80\), not \(4, 24, 80\)"),
        ("frames = frames[:, :, :40]", r"has shape \(4, 24, 40\), not \(4, 24, 80\)"),
    ],
)
def test_what_it_leaves_is_checked(tmp_path, change, message):
    with pytest.raises(StageError, match=message):
        convert(conversion(tmp_path), converter(tmp_path, change), Settings())
