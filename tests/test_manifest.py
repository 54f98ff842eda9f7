from pathlib import Path

import pytest
from manifest_files import write_rows

from stereozero.errors import InputError
from stereozero.manifest import Clip, ClipKind, load_manifest, rows_as_json

SHA = "0" * 64


def write(folder, *rows: dict) -> Path:
    return write_rows(folder / "clips.csv", rows)


def refused(folder, *rows: dict) -> str:
    with pytest.raises(InputError) as caught:
        load_manifest(write(folder, *rows))
    return str(caught.value)


WORLD = {"clip_id": "w", "scene": "simple", "world_seed": "3"}


def test_the_four_kinds_of_clip(tmp_path):
    for name in ("a.png", "s.mp4", "t.mp4"):
        (tmp_path / name).touch()
    clips = load_manifest(
        write(
            tmp_path,
            {"clip_id": "i", "prompt": "a cat", "image": "a.png"},
            {"clip_id": "v", "source_video": "s.mp4"},
            {"clip_id": "p", "source_video": "s.mp4", "target_video": "t.mp4"},
            WORLD,
        )
    )
    assert [clip.kind for clip in clips] == [ClipKind.IMAGE, ClipKind.VIDEO, ClipKind.PAIR, ClipKind.WORLD]
    assert clips[0].image == str(tmp_path / "a.png")


def test_prompts_with_quotes_commas_newlines_and_any_letters_survive(tmp_path):
    (tmp_path / "a.png").touch()
    prompt = "she said \"größer\", then\n„日本語“ $(rm -rf /) `x`; 'y'"
    clip = load_manifest(write(tmp_path, {"clip_id": "i", "prompt": prompt, "image": "a.png"}))[0]
    assert clip.prompt == prompt
    assert Clip.model_validate(rows_as_json([clip])[0]) == clip


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path):
    path = tmp_path / "clips.csv"
    path.write_bytes(b"\xef\xbb\xbfclip_id,scene,world_seed\nw,simple,3\n")
    assert load_manifest(path)[0].clip_id == "w"


@pytest.mark.parametrize("clip_id", ["a/b", "a b", "a.b", "..", ".", "../x", "-a", "a" * 65, "é"])
def test_ids_that_can_not_be_folders_are_refused(tmp_path, clip_id):
    message = refused(tmp_path, {**WORLD, "clip_id": clip_id})
    assert f"row 1 (line 2, clip {clip_id!r}), clip_id: {clip_id!r} can't be a folder name everywhere" in message


def test_duplicate_ids_are_refused_even_if_only_case_differs(tmp_path):
    message = refused(tmp_path, WORLD, {**WORLD, "clip_id": "W"})
    assert "row 2 (line 3, clip 'W'), clip_id: is already taken by row 1 (line 2, clip 'w')" in message


def test_all_problems_of_all_rows_are_reported_at_once(tmp_path):
    message = refused(
        tmp_path,
        {"clip_id": "a b", "prompt": "x", "image": "no.png"},
        {"clip_id": "ok", "scene": "simple", "world_seed": "x"},
    )
    assert "3 problems" in message
    assert "row 1 (line 2, clip 'a b'), image: there is no file" in message
    assert "row 2 (line 3, clip 'ok'), world_seed: " in message


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"strength": "0"}, "strength: 0 asks for no stereo at all"),
        ({"strength": "200"}, "strength: input should be less than or equal to 100, found '200'"),
        ({"strength": "abc"}, "strength: input should be a valid number"),
        ({"mode": "looop"}, "mode: input should be 'plain', 'interpolation' or 'loop', found 'looop'"),
        ({"scene": "hard"}, "scene: input should be 'simple' or 'complex', found 'hard'"),
        ({"scene": ""}, "a world clip needs scene: 'simple' or 'complex'"),
        ({"image": "x.png"}, "source_video, stereo_video or world_seed, found image and world_seed"),
        (
            {"world_seed": ""},
            "exactly one of image (with a prompt), source_video, stereo_video or world_seed, found none",
        ),
        ({"mode": "loop"}, "mode loop is for clips that start from an image"),
        ({"disparity": "x.npy"}, "disparity is given for a world clip, which renders its own"),
        ({"target_video": "x.mp4"}, "target_video is given without source_video"),
        (
            {"world_seed": "", "stereo_video": "x.mp4"},
            "stereo_video needs layout, how it holds the two views: full-sbs,",
        ),
        ({"stereo_video": "x.mp4", "layout": "sbs"}, "layout: input should be 'full-sbs', 'half-sbs', 'full-tb' or"),
        ({"layout": "full-sbs"}, "layout is given without stereo_video, which it describes"),
        ({"swap_eyes": "yes"}, "swap_eyes is given without stereo_video, which it describes"),
        ({"image_sha256": SHA}, "image_sha256 is given without image"),
        ({"clip_id": ""}, "clip_id: is missing"),
    ],
)
def test_a_row_that_makes_no_sense_is_refused_with_the_reason(tmp_path, changes, reason):
    assert reason in refused(tmp_path, {**WORLD, **changes})


def test_modes_and_end_images_must_fit(tmp_path):
    (tmp_path / "a.png").touch()
    row = {"clip_id": "i", "prompt": "a cat", "image": "a.png"}
    assert "mode interpolation needs end_image" in refused(tmp_path, {**row, "mode": "interpolation"})
    assert "end_image is given, but mode is plain" in refused(tmp_path, {**row, "end_image": "a.png"})
    assert "prompt is empty" in refused(tmp_path, {**row, "prompt": "  "})


def test_an_address_needs_a_checksum(tmp_path):
    row = {"clip_id": "i", "prompt": "a cat", "image": "http://127.0.0.1/a.png"}
    assert "image is an address and needs image_sha256" in refused(tmp_path, row)
    assert "image_sha256: " in refused(tmp_path, {**row, "image_sha256": "xyz"})


def test_a_folder_is_no_video(tmp_path):
    assert "is a folder; a file is needed" in refused(tmp_path, {"clip_id": "v", "source_video": "."})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty; the first line must name the columns"),
        (b"clip_id,scene,world_seed\n", "has a header but no clips"),
        (b"clip_id,secne\nx,simple\n", "column 'secne' is unknown; did you mean 'scene'?"),
        (b"clip_id,clip_id\nx,y\n", "column 'clip_id' is there twice"),
        (b"scene,world_seed\nsimple,3\n", "column 'clip_id' is missing"),
        (b"clip_id,prompt\nx,a, b\n", "row 1 (line 2) has 3 cells, the header has 2"),
        (b'clip_id,prompt\nx,"a\n', "not valid CSV"),
        (b"clip_id,prompt\nx,\xff\n", "not UTF-8 text (byte 17)"),
        (b"clip_id,prompt\nx,\0\n", "contains NUL bytes"),
    ],
)
def test_a_broken_file_is_refused_with_the_reason(tmp_path, content, reason):
    (tmp_path / "clips.csv").write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_manifest(tmp_path / "clips.csv")
    assert str(caught.value).startswith(str(tmp_path / "clips.csv"))
    assert reason in str(caught.value)


def test_a_missing_manifest_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no\.csv: can't be read"):
        load_manifest(tmp_path / "no.csv")
