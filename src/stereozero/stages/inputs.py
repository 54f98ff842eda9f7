"""Inputs: fetch, check and normalise what a manifest row names, before any work starts on it.

Images become ``image.png`` (and ``end_image.png``) of the run's size. Finished videos become lossless ``source.mkv``,
``truth.mkv``, ``target.mkv`` of their own size, a given disparity becomes ``disparity.safetensors``. All videos of a
clip and its disparity must have one length and size. A pair in one picture is taken apart; where that looks wrong, the
record and Table 1 say so.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stereozero import download
from stereozero.artifacts import Artifact
from stereozero.errors import InputError
from stereozero.manifest import Clip, ClipKind, is_address
from stereozero.plan import Plan
from stereozero.stages.stage import Stage

if TYPE_CHECKING:
    from stereozero.video import Video

log = logging.getLogger(__name__)

_IMAGES = {"image": "image.png", "end_image": "end_image.png"}
_VIDEOS = {"source_video": "source.mkv", "truth_video": "truth.mkv", "target_video": "target.mkv"}
_DISPARITY = {"disparity": "disparity.safetensors"}
_RESULTS = {**_IMAGES, **_VIDEOS, **_DISPARITY}
_PAIR = (_VIDEOS["source_video"], _VIDEOS["target_video"])


def _artifacts(plan: Plan, variant: str, clip: Clip) -> Sequence[Artifact]:
    if clip.kind is ClipKind.WORLD:
        return []
    columns = clip.files()
    parameters: dict[str, Any] = {name: {"checksum": clip.checksum(name)} for name in columns}
    if clip.kind is ClipKind.IMAGE:
        video = plan.config.video
        parameters |= {"height": video.height, "width": video.width, "fit": video.fit.value}
    files = tuple(_RESULTS[column] for column in columns if column != "stereo_video")
    if clip.stereo_video:
        files += _PAIR
        parameters |= {"layout": clip.layout, "swap_eyes": clip.swap_eyes, "target_side": plan.target_side(clip)}
    return [Artifact(clip.clip_id, plan.paths.inputs(clip.clip_id), files, parameters, _local_files(columns))]


def _local_files(columns: Mapping[str, str]) -> dict[str, Path]:
    """Return the local files the artefact is made from; a folder of disparity pictures counts file by file."""
    files: dict[str, Path] = {}
    for column, value in columns.items():
        path = Path(value)
        if is_address(value):
            continue
        if path.is_dir():
            files |= {f"{column}/{entry.name}": entry for entry in sorted(path.iterdir()) if entry.is_file()}
        else:
            files[column] = path
    return files


def _make(plan: Plan, variant: str, clip: Clip, artifact: Artifact, folder: Path) -> Mapping[str, Any]:
    files = {column: _obtain(plan, clip, column, value) for column, value in clip.files().items()}
    if clip.kind is ClipKind.IMAGE:
        return _normalise_images(plan, files, folder)
    return _check_videos(plan, clip, files, folder)


def _obtain(plan: Plan, clip: Clip, column: str, value: str) -> Path:
    """Return the local path of a file, downloaded if need be and verified."""
    checksum = clip.checksum(column)
    if is_address(value):
        if checksum is None:
            raise InputError(f"{value}: an address needs a checksum")
        return download.fetch(value, checksum, plan.paths.downloads)
    download.verify(Path(value), checksum)
    return Path(value)


def _normalise_images(plan: Plan, files: Mapping[str, Path], folder: Path) -> Mapping[str, Any]:
    from stereozero.images import load_image, normalise_image, save_png

    video, notes = plan.config.video, {}
    for column, path in files.items():
        picture = load_image(path)
        notes[column] = {"height": picture.shape[0], "width": picture.shape[1]}
        save_png(folder / _IMAGES[column], normalise_image(picture, video.height, video.width, video.fit.value))
    return notes


def _check_videos(plan: Plan, clip: Clip, files: Mapping[str, Path], folder: Path) -> Mapping[str, Any]:
    from stereozero.disparity_io import check_matches, read_given_disparity, save_disparity
    from stereozero.video import check_even_size, check_same_frames, write_lossless

    videos = _read_videos(plan, clip, files)
    origin, source = files.get("source_video", files.get("stereo_video")), videos["source_video"]
    frames, height, width, _ = source.frames.shape
    check_even_size(source.frames, origin)
    for column, video in videos.items():
        check_same_frames(origin, source.frames.shape, files.get(column, origin), video.frames.shape)
        write_lossless(folder / _VIDEOS[column], video.frames, source.fps)
    if "disparity" in files:
        disparity = read_given_disparity(files["disparity"])
        check_matches(disparity, frames, height, width, files["disparity"])
        save_disparity(folder / _DISPARITY["disparity"], disparity, {"given": files["disparity"].name})
    facts = {"frames": frames, "height": height, "width": width, "fps": float(source.fps)}
    return {**facts, "warnings": _warnings(clip, videos)}


def _read_videos(plan: Plan, clip: Clip, files: Mapping[str, Path]) -> dict[str, "Video"]:
    """Return column -> video, the source first; a pair in one picture becomes two videos."""
    from stereozero.packed_views import unpack_views
    from stereozero.video import Video, read_video

    videos = {column: read_video(path) for column, path in files.items() if column in (*_VIDEOS, "stereo_video")}
    packed = videos.pop("stereo_video", None)
    if packed is None:
        return videos
    views = unpack_views(files["stereo_video"], packed.frames, clip.layout, clip.swap_eyes)
    source, target = views if plan.target_side(clip) == "right" else reversed(views)
    return {"source_video": Video(source, packed.fps), "target_video": Video(target, packed.fps), **videos}


def _warnings(clip: Clip, videos: Mapping[str, "Video"]) -> list[str]:
    """Say what looks wrong with a finished pair; it is scored all the same."""
    from stereozero.packed_views import layout_doubts, view_doubts

    if "target_video" not in videos:
        return []
    source, target = (videos[column].frames for column in ("source_video", "target_video"))
    doubts = [*(layout_doubts(source.shape, clip.layout) if clip.layout else ()), *view_doubts(source, target)]
    for doubt in doubts:
        log.warning("clip '%s': %s", clip.clip_id, doubt)
    return doubts


INPUTS = Stage(
    name="inputs",
    version=2,
    help="fetch, check and normalise images and finished videos",
    variants=lambda plan: ("",),
    artifacts=_artifacts,
    make=_make,
)
