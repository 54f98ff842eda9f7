"""The manifest: one clip a row.

A row is one of four kinds of clip: a prompt with an image to generate from, a finished source video, a finished
source + target pair (an outside method's result), or a clip of the synthetic world. The columns are described by
:class:`Clip` and listed in ``docs/reference.md``.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from stereozero.config.section import NAME_PATTERN, Strength
from stereozero.errors import InputError
from stereozero.wording import describe, suggest

_ADDRESS = re.compile(r"^https?://", re.IGNORECASE)
_FILES = ("image", "end_image", "source_video", "target_video", "stereo_video", "truth_video", "disparity")

Layout = Literal["full-sbs", "half-sbs", "full-tb", "half-tb"]
Checksum = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ClipKind(StrEnum):
    """What a row starts from."""

    IMAGE = "image"
    VIDEO = "video"
    PAIR = "pair"
    WORLD = "world"


class Clip(BaseModel):
    """One row of the manifest, validated. Paths are absolute or relative to the manifest's folder; a file may instead
    be an http(s) address, which then needs its SHA-256."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    clip_id: str = Field(description="letters, digits, '-' and '_'; unique; becomes a folder name")
    prompt: str = Field("", description="text, in quotes if it has commas; a world clip's default is its caption")
    image: str | None = Field(None, description="conditioning image")
    image_sha256: Checksum | None = None
    end_image: str | None = Field(None, description="last image, for mode interpolation")
    end_image_sha256: Checksum | None = None
    mode: Literal["plain", "interpolation", "loop"] = Field("plain", description="how the video follows its image(s)")
    source_video: str | None = Field(None, description="finished source (left) view")
    source_video_sha256: Checksum | None = None
    target_video: str | None = Field(None, description="finished target view, to be scored as method kind 'finished'")
    target_video_sha256: Checksum | None = None
    stereo_video: str | None = Field(None, description="finished pair in one picture, instead of the two videos")
    stereo_video_sha256: Checksum | None = None
    layout: Layout | None = Field(None, description="of stereo_video: left view left or above; half: views squeezed")
    swap_eyes: bool = Field(False, description="of stereo_video: the right view is left or above")
    truth_video: str | None = Field(None, description="true target view, where there is one")
    truth_video_sha256: Checksum | None = None
    disparity: str | None = Field(None, description="disparity file or grey video, for the estimator 'given'")
    disparity_sha256: Checksum | None = None
    scene: Literal["simple", "complex"] | None = Field(None, description="groups clips in tables; a world clip's kind")
    world_seed: Annotated[int, Field(ge=0, lt=2**31)] | None = Field(None, description="renders a clip of the world")
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = Field(None, description="overrides the config")
    strength: Strength | None = Field(None, description="overrides the config")
    frame_stride: Annotated[int, Field(ge=1, le=64)] | None = Field(None, description="overrides the generator's")
    last_warp_step: Annotated[int, Field(ge=0, lt=50)] | None = Field(None, description="overrides the method's, of 50")
    dissolve_step: Annotated[int, Field(ge=1, le=50)] | None = Field(None, description="overrides the depth's, of 50")
    disparity_power: Annotated[float, Field(gt=0, le=10)] | None = Field(
        None, description="exponent of the disparity before the sampler's warp; overrides the method's"
    )
    note: str = Field("", description="free text, not used")

    @field_validator("clip_id")
    @classmethod
    def _is_name(cls, clip_id: str) -> str:
        if not re.match(NAME_PATTERN, clip_id):
            raise ValueError(
                f"{clip_id!r} can't be a folder name everywhere: use letters, digits, '-' and '_' only (at most 64, "
                "no dots, slashes or spaces), beginning with a letter or digit"
            )
        return clip_id

    @property
    def kind(self) -> ClipKind:
        """What the clip starts from."""
        if self.world_seed is not None:
            return ClipKind.WORLD
        if self.image is not None:
            return ClipKind.IMAGE
        return ClipKind.PAIR if self.target_video or self.stereo_video else ClipKind.VIDEO

    def files(self) -> dict[str, str]:
        """Return column -> path or address of every file the row names."""
        return {column: value for column in _FILES if (value := getattr(self, column)) is not None}

    def checksum(self, column: str) -> str | None:
        """Return the SHA-256 the row gives for the file in ``column``, or None."""
        return getattr(self, f"{column}_sha256")


def is_address(value: str) -> bool:
    """True if a manifest cell is an http(s) address rather than a path."""
    return bool(_ADDRESS.match(value))


def _kind_problems(cells: Mapping[str, str]) -> Iterator[str]:
    starts = [column for column in ("image", "source_video", "stereo_video", "world_seed") if column in cells]
    if len(starts) != 1:
        found = f"found {' and '.join(starts)}" if starts else "found none of them"
        known = "image (with a prompt), source_video, stereo_video or world_seed"
        yield f"a clip starts from exactly one of {known}, {found}"
    if "target_video" in cells and "source_video" not in cells:
        yield "target_video is given without source_video: a finished pair needs both"
    if "stereo_video" in cells and "layout" not in cells:
        yield f"stereo_video needs layout, how it holds the two views: {', '.join(get_args(Layout))}"
    for column in sorted({"layout", "swap_eyes"} & cells.keys() if "stereo_video" not in cells else ()):
        yield f"{column} is given without stereo_video, which it describes"
    if "world_seed" in cells:
        if "scene" not in cells:
            yield "a world clip needs scene: 'simple' or 'complex'"
        for column in cells.keys() & {"truth_video", "disparity"}:
            yield f"{column} is given for a world clip, which renders its own"
    if "image" in cells:
        if "prompt" not in cells:
            yield "prompt is empty: a clip that starts from an image needs one"
        for column in cells.keys() & {"truth_video", "disparity"}:
            yield f"{column} belongs to a finished source video, not to an image"


def _mode_problems(cells: Mapping[str, str]) -> Iterator[str]:
    mode = cells.get("mode", "plain")
    if mode == "interpolation" and "end_image" not in cells:
        yield "mode interpolation needs end_image"
    if mode in ("plain", "loop") and "end_image" in cells:
        yield f"end_image is given, but mode is {mode}; set mode to interpolation"
    if mode in ("interpolation", "loop") and "image" not in cells:
        yield f"mode {mode} is for clips that start from an image"


def _checksum_problems(cells: Mapping[str, str]) -> Iterator[str]:
    for column in _FILES:
        value, checksum = cells.get(column), cells.get(f"{column}_sha256")
        if value is None and checksum is not None:
            yield f"{column}_sha256 is given without {column}"
        if value is not None and is_address(value) and checksum is None:
            yield f"{column} is an address and needs {column}_sha256, so that what is downloaded can be verified"


def _missing_files(cells: Mapping[str, str], folder: Path) -> Iterator[str]:
    for column in _FILES:
        value = cells.get(column)
        if value is None or is_address(value):
            continue
        if not (folder / value).exists():
            yield f"{column}: there is no file {folder / value} (paths are relative to the manifest's folder)"
        elif column != "disparity" and not (folder / value).is_file():
            yield f"{column}: {folder / value} is a folder; a file is needed"


def _field_problems(cells: Mapping[str, str]) -> list[str]:
    try:
        Clip.model_validate(cells)
    except ValidationError as error:
        return describe(error, Clip)
    return []


def load_manifest(path: Path) -> list[Clip]:
    """Read and validate a manifest.

    Args:
        path: CSV file, UTF-8, with a header line.

    Returns:
        The clips in the file's order; paths in them are resolved against the manifest's folder.

    Raises:
        InputError: lists every problem with its row and column.
    """
    rows = _read_rows(path)
    problems = [f"{row.where}, {problem}" for row in rows for problem in _row_problems(row.cells, path.parent)]
    problems += _duplicates(rows)
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise InputError(f"{path}: {count}" + "".join(f"\n  {problem}" for problem in problems))
    return [_resolve_paths(Clip.model_validate(row.cells), path.parent) for row in rows]


def _row_problems(cells: Mapping[str, str], folder: Path) -> list[str]:
    return [
        *_field_problems(cells),
        *_kind_problems(cells),
        *_mode_problems(cells),
        *_checksum_problems(cells),
        *_missing_files(cells, folder),
    ]


class _Row(NamedTuple):
    where: str  # row and line number and clip id, for messages
    cells: dict[str, str]  # the cells that are not empty


def _read_rows(path: Path) -> list[_Row]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(
            f"{path}: can't be read ({error.strerror}); the config's 'manifest' must name a CSV file"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text (byte {error.start}); save the manifest as CSV in UTF-8") from error
    if "\0" in text:
        raise InputError(f"{path}: contains NUL bytes, so it is not a CSV text file; save it as CSV in UTF-8")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        _check_header(path, header)
        return list(_rows(path, reader, header))
    except csv.Error as error:
        raise InputError(f"{path}: line {reader.line_num}: not valid CSV ({error}); check the quotes") from error


def _check_header(path: Path, header: list[str]) -> None:
    if not any(header):
        raise InputError(f"{path}: is empty; the first line must name the columns, e.g. clip_id,prompt,image")
    problems = [
        f"column '{name}' is unknown{suggest(name, Clip.model_fields)}"
        for name in header
        if name not in Clip.model_fields
    ]
    problems += [f"column '{name}' is there twice" for name in sorted({n for n in header if header.count(n) > 1})]
    if "clip_id" not in header:
        problems.append("column 'clip_id' is missing")
    if problems:
        raise InputError(f"{path}: {'; '.join(problems)} (free text may stand in 'note')")


def _rows(path: Path, reader: Any, header: list[str]) -> Iterator[_Row]:
    number, line = 0, reader.line_num + 1
    for texts in reader:
        if texts:
            number += 1
            where = f"row {number} (line {line})"
            if len(texts) != len(header):
                raise InputError(
                    f"{path}: {where} has {len(texts)} cells, the header has {len(header)}; "
                    "put texts that contain commas in double quotes"
                )
            cells = {name: text.strip() for name, text in zip(header, texts, strict=True) if text.strip()}
            yield _Row(f"{where[:-1]}, clip {cells['clip_id']!r})" if "clip_id" in cells else where, cells)
        line = reader.line_num + 1
    if number == 0:
        raise InputError(f"{path}: has a header but no clips; add a row for each clip")


def _resolve_paths(clip: Clip, folder: Path) -> Clip:
    local = {column: str(folder / value) for column, value in clip.files().items() if not is_address(value)}
    return clip.model_copy(update=local)


def _duplicates(rows: list[_Row]) -> Iterator[str]:
    """Two ids that differ only in case would share a folder on some file systems: refuse those as well."""
    first: dict[str, str] = {}
    for where, cells in rows:
        folded = cells.get("clip_id", "").casefold()
        if folded and folded in first:
            yield f"{where}, clip_id: is already taken by {first[folded]} (upper and lower case count as equal)"
        first.setdefault(folded, where)


def rows_as_json(clips: Iterable[Clip]) -> list[Mapping[str, object]]:
    """Return the clips as JSON values without empty cells; :class:`Clip` reads them back."""
    return [clip.model_dump(mode="json", exclude_defaults=True) for clip in clips]
