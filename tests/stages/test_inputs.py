import hashlib
import json

import numpy as np
import pytest
from PIL import Image

from stereozero.disparity_io import load_disparity
from stereozero.errors import StageError
from stereozero.plan import resolve
from stereozero.stages.inputs import INPUTS
from stereozero.video import read_video, write_lossless, write_mp4


@pytest.fixture
def run_inputs(world_config, write_manifest, world_rows):
    """Return a function that runs the inputs stage on one row and returns its folder."""

    def call(row, **config):
        write_manifest(*world_rows, row)
        settings = {
            **world_config,
            "depths": {**world_config["depths"], "mine": {"estimator": "given"}},
            "methods": {"mono-copy": {"kind": "mono-copy"}, "theirs": {"kind": "finished"}},
            **config,
        }
        if not {"target_video", "stereo_video"} & row.keys():
            del settings["methods"]["theirs"]
        plan = resolve(settings, "config.yaml")
        INPUTS.run(plan, "", INPUTS.clips(plan, ""))
        return plan.paths.inputs(row["clip_id"])

    return call


def refusal(run_inputs, row) -> str:
    with pytest.raises(StageError) as caught:
        run_inputs(row)
    return str(caught.value)


@pytest.fixture
def source(tmp_path, moving_bars):
    write_lossless(tmp_path / "s.mkv", moving_bars, 8)
    return {"clip_id": "v", "source_video": "s.mkv"}


def test_an_image_is_brought_to_the_runs_size(run_inputs, tmp_path):
    Image.fromarray(np.full((300, 200, 4), (255, 0, 0, 128), np.uint8)).save(tmp_path / "a.png")
    folder = run_inputs({"clip_id": "i", "prompt": "red", "image": "a.png"})
    picture = np.asarray(Image.open(folder / "image.png"))
    assert picture.shape == (64, 96, 3)
    assert (picture == (255, 127, 127)).all()


def test_a_finished_video_and_its_disparity_are_kept_exactly(run_inputs, source, tmp_path, moving_bars):
    disparity = np.random.default_rng(0).random((4, 64, 96), np.float32)
    np.save(tmp_path / "d.npy", disparity)
    folder = run_inputs({**source, "disparity": "d.npy"})
    assert np.array_equal(read_video(folder / "source.mkv").frames, moving_bars)
    assert np.array_equal(load_disparity(folder / "disparity.safetensors"), disparity)


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ((3, 64, 96), "the disparity has 3 frames, the source video 4"),
        ((4, 32, 96), "d.npy"),
        ((64, 96), "d.npy"),
    ],
)
def test_a_disparity_of_another_length_or_size_is_refused(run_inputs, source, tmp_path, shape, reason):
    np.save(tmp_path / "d.npy", np.zeros(shape, np.float32))
    assert reason in refusal(run_inputs, {**source, "disparity": "d.npy"})


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.1, 1.5])
def test_a_disparity_with_impossible_values_is_refused(run_inputs, source, tmp_path, value):
    disparity = np.zeros((4, 64, 96), np.float32)
    disparity[1, 2, 3] = value
    np.save(tmp_path / "d.npy", disparity)
    assert "d.npy" in refusal(run_inputs, {**source, "disparity": "d.npy"})


@pytest.mark.parametrize(("cut", "size"), [(np.s_[:3], "3 frames of 96x64"), (np.s_[:, :32], "4 frames of 96x32")])
def test_views_that_differ_in_length_or_size_are_refused(run_inputs, source, tmp_path, moving_bars, cut, size):
    write_lossless(tmp_path / "t.mkv", moving_bars[cut], 8)
    for column in ("target_video", "truth_video"):
        message = refusal(run_inputs, {**source, column: "t.mkv"})
        assert f"t.mkv: has {size}, but {tmp_path / 's.mkv'} has 4 frames of 96x64" in message


def test_odd_sizes_no_videos_and_truncated_ones_are_refused(run_inputs, source, tmp_path, moving_bars):
    write_lossless(tmp_path / "odd.mkv", moving_bars[:, :63, :95], 8)
    assert "odd.mkv" in refusal(run_inputs, {**source, "source_video": "odd.mkv"})
    (tmp_path / "text.mp4").write_text("hello")
    assert "text.mp4" in refusal(run_inputs, {**source, "source_video": "text.mp4"})
    write_mp4(tmp_path / "cut.mp4", moving_bars, 8)
    content = (tmp_path / "cut.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(content[: 2 * len(content) // 3])
    assert "cut.mp4" in refusal(run_inputs, {**source, "source_video": "cut.mp4"})


def test_a_wrong_checksum_is_refused_and_leaves_nothing(run_inputs, source, tmp_path):
    message = refusal(run_inputs, {**source, "source_video_sha256": "0" * 64})
    assert "s.mkv: checksum mismatch: the manifest says 000" in message
    assert not (tmp_path / "results" / "test" / "inputs" / "v").exists()
    right = hashlib.sha256((tmp_path / "s.mkv").read_bytes()).hexdigest()
    assert (run_inputs({**source, "source_video_sha256": right}) / "source.mkv").is_file()


def test_bad_input_leaves_the_older_artefact_untouched(run_inputs, source, tmp_path):
    folder = run_inputs(source)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (tmp_path / "s.mkv").write_bytes(b"")
    refusal(run_inputs, source)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(("strength", "swap", "source_is"), [(4, "", 0), (-4, "", 1), (4, "yes", 1)])
def test_a_pair_in_one_picture_becomes_source_and_target(run_inputs, tmp_path, moving_bars, strength, swap, source_is):
    views = [moving_bars, np.roll(moving_bars, -2, axis=2)]
    write_lossless(tmp_path / "p.mkv", np.concatenate(views, axis=2), 8)
    row = {"clip_id": "p", "stereo_video": "p.mkv", "layout": "full-sbs", "swap_eyes": swap, "strength": str(strength)}
    folder = run_inputs(row)
    np.testing.assert_array_equal(read_video(folder / "source.mkv").frames, views[source_is])
    np.testing.assert_array_equal(read_video(folder / "target.mkv").frames, views[1 - source_is])
    assert json.loads((folder / "record.json").read_text())["notes"]["warnings"] == []


def test_a_half_picture_read_as_a_full_one_is_doubted_and_kept(run_inputs, tmp_path, moving_bars, caplog):
    half = np.concatenate([moving_bars[:, :, ::2], np.roll(moving_bars, -2, axis=2)[:, :, ::2]], axis=2)
    write_lossless(tmp_path / "p.mkv", half, 8)
    folder = run_inputs({"clip_id": "p", "stereo_video": "p.mkv", "layout": "full-sbs"})
    (warning,) = json.loads((folder / "record.json").read_text())["notes"]["warnings"]
    assert "each view is 48 x 64 px (width x height) and looks squeezed" in warning
    assert "the layout may be half-sbs" in warning
    assert f"clip 'p': {warning}" in caplog.text


def test_a_flat_video_read_as_a_stereo_one_is_doubted(run_inputs, tmp_path, moving_bars):
    write_lossless(tmp_path / "p.mkv", moving_bars, 8)
    folder = run_inputs({"clip_id": "p", "stereo_video": "p.mkv", "layout": "half-sbs"})
    (warning,) = json.loads((folder / "record.json").read_text())["notes"]["warnings"]
    assert "source and target do not look like two views of one scene" in warning


def test_a_picture_that_can_not_be_halved_is_refused(run_inputs, tmp_path, moving_bars):
    write_lossless(tmp_path / "p.mkv", moving_bars[:, :, :95], 8)
    message = refusal(run_inputs, {"clip_id": "p", "stereo_video": "p.mkv", "layout": "full-sbs"})
    assert "p.mkv: its width is 95 px and can't be halved, as layout full-sbs needs" in message
