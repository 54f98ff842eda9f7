"""ProPainter's adapter, against a stand-in with its command line and layout that paints every masked pixel green."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from external_programs import PAINTER, conversion, program
from PIL import Image

from stereozero.baselines.declaration import check_target
from stereozero.baselines.propainter import DECLARATION, Settings, convert, padded, write_inputs
from stereozero.baselines.warp_fill import warp_clip
from stereozero.errors import InputError, StageError


def painter(tmp_path, change: str = "pass"):
    return program(tmp_path / "code", {"inference_propainter.py": PAINTER.replace("{change}", change)}, "propainter")


@pytest.mark.parametrize(("height", "width"), [(24, 40), (27, 37)])
@pytest.mark.parametrize("strength", [10.0, -10.0])
def test_holes_are_painted_and_the_rest_is_the_warped_view(tmp_path, height, width, strength):
    clip = conversion(tmp_path, height=height, width=width, strength=strength)
    target = check_target(convert(clip, painter(tmp_path), Settings()), clip, DECLARATION)
    warped = warp_clip(clip.source, clip.disparity, strength)
    holes = warped.blank.numpy()
    assert holes.any()
    assert (target[holes] == (0, 255, 0)).all()
    seen = (warped.frames * 255).round().byte().movedim(1, -1).numpy()
    assert np.array_equal(target[~holes], seen[~holes])


def test_sizes_are_extended_to_multiples_of_8_without_new_holes(tmp_path):
    clip = conversion(tmp_path, height=27, width=37)
    masks = write_inputs(clip, tmp_path / "clip")
    first = np.array(Image.open(masks / "00000.png"))
    assert first.shape == padded(27, 37) == (32, 40)
    assert set(np.unique(first)) == {0, 255}
    assert not first[27:].any()
    assert not first[:, 37:].any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("if number == 2: break", "left 2 frames of a clip with 4"),
        ("picture = picture[:8]", r"has \(8, 40\) rows and columns, not \(24, 40\)"),
        ("raise SystemExit", "left no frames in"),
        ("raise SystemExit('CUDA out of memory')", "(?s)failed with status 1.*CUDA out of memory"),
    ],
)
def test_what_it_leaves_is_checked(tmp_path, change, message):
    with pytest.raises(StageError, match=message):
        convert(conversion(tmp_path), painter(tmp_path, change), Settings())
    assert (tmp_path / "program.log").is_file()


def test_one_frame_is_too_few(tmp_path):
    with pytest.raises(InputError, match="two frames"):
        convert(conversion(tmp_path, frames=1), painter(tmp_path), Settings())


def test_options_reach_the_program(tmp_path):
    echo = program(tmp_path / "code", {"inference_propainter.py": "import sys; sys.exit(' '.join(sys.argv))"})
    with pytest.raises(StageError, match=r"--mask_dilation 0 .*--fp16"):
        convert(conversion(tmp_path), echo, replace(Settings(), mask_dilation=0, fp16=True))
    assert sys.executable in (tmp_path / "program.log").read_text()
