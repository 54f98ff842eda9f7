"""Read and write videos through ffmpeg: lossless FFV1 for artefacts, H.264 for people.

A video in memory is a uint8 array (F, H, W, 3), RGB, 0 black and 255 white. Whole clips are held in memory: they are
short. ffmpeg is the system's if there is one that can do the job, otherwise the one in the imageio-ffmpeg wheel.

What is written is the same byte for byte whenever the same frames are written by the same ffmpeg, on any number of
cores: no dates, no versions of the muxer, and a number of slices and threads that does not depend on the machine.

Colours: a tagged matrix and range (BT.601, BT.709, limited, full) are obeyed; a video without tags is taken as BT.601,
limited, which is what ffmpeg and the libraries built on it do.
"""

import logging
import math
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import ffmpeg
import imageio_ffmpeg
import numpy as np

from stereozero.artifacts import atomic_path
from stereozero.errors import InputError, StageError

log = logging.getLogger(__name__)

# Without these swscale interpolates chroma coarsely and rounds downwards: up to 3 levels off, darker on the whole.
ACCURATE = "bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"

# Golomb-Rice coder: a few percent larger than the range coder, half its time to decode; every stage reads these files.
_FFV1 = {"c:v": "ffv1", "level": 3, "coder": 0, "context": 0, "g": 1, "slicecrc": 1, "format": "matroska"}
# x264's output depends on its number of threads and, unless told otherwise (below), on the processor's instruction set.
_X264 = {"c:v": "libx264", "preset": "medium", "threads": 4, "format": "mp4", "movflags": "+faststart"}
_BITEXACT = {"map_metadata": -1, "fflags": "+bitexact", "flags:v": "+bitexact"}

# ffmpeg "plays" pictures and text files too; as a video each of them is a mistake.
_NOT_VIDEO = re.compile(r"image2|\w+_pipe|tty|bin|xbin|adf|idf")
_DAMAGED = "copy or download the file again, or repair it by encoding it anew"


@dataclass(frozen=True)
class Video:
    """A clip in memory: frames uint8 (F, H, W, 3), RGB, and frames per second."""

    frames: np.ndarray
    fps: Fraction


@dataclass(frozen=True)
class VideoFacts:
    """What a video file says of itself.

    Attributes:
        width: columns, as displayed (after rotation).
        height: rows, as displayed (after rotation).
        fps: frames per second; of a variable frame rate, the average.
        pixel_format: ffmpeg's name of it, e.g. ``yuv420p`` or ``gray10le``.
        declared_frames: how many frames the container says it holds; None where it does not say.
    """

    width: int
    height: int
    fps: Fraction
    pixel_format: str
    declared_frames: int | None

    @property
    def deep(self) -> bool:
        """True if there are more than 8 bits per channel."""
        return re.search(r"(p|gray|y|yf|grayf)(9|10|12|14|16|32)([lb]e)?$|48|64", self.pixel_format) is not None


@lru_cache(maxsize=1)
def ffmpeg_binary() -> str:
    """Return the path of the ffmpeg that is used: the system's, or the wheel's if there is none that will do."""
    system = shutil.which("ffmpeg")
    if system and not _will_do(system):
        log.warning("%s is too old or lacks libx264 or FFV1; using the ffmpeg of the imageio-ffmpeg package", system)
        system = None
    return system or imageio_ffmpeg.get_ffmpeg_exe()


def _will_do(binary: str) -> bool:
    """True if it knows ``-fps_mode`` (5.1 and later), FFV1 and libx264 (some distributions leave libx264 out)."""
    source = ["-v", "error", "-nostdin", "-f", "lavfi", "-i", "color=s=64x64:d=0.1"]
    sinks = ["-fps_mode", "passthrough", "-c:v", "libx264", "-f", "null", "-", "-c:v", "ffv1", "-f", "null", "-"]
    return subprocess.run([binary, *source, *sinks], capture_output=True, check=False).returncode == 0


@lru_cache(maxsize=1)
def ffmpeg_version() -> str:
    """Return the version of :func:`ffmpeg_binary`, for records."""
    printed = subprocess.run([ffmpeg_binary(), "-version"], capture_output=True, text=True, check=True).stdout
    return printed.split()[2]


def probe_video(path: Path) -> VideoFacts:
    """Return what a video file says of itself; decodes its first frame only.

    Raises:
        InputError: the file is missing, a folder, not a video, has no video stream or holds no frame.
    """
    _check_is_file(Path(path))
    output = _source(path).output("pipe:", map="0:V:0", format="yuv4mpegpipe", pix_fmt="yuv420p", **{"frames:v": 1})
    command = ffmpeg.compile(output.global_args("-hide_banner", "-nostdin", "-nostats"), cmd=ffmpeg_binary())
    done = subprocess.run(command, capture_output=True, check=False)
    printed = done.stderr.decode(errors="replace")
    container = _container(path, printed)
    header = re.match(rb"YUV4MPEG2 W(\d+) H(\d+) F(\d+):(\d+) I\S+ A(\d+):(\d+)", done.stdout)
    if header is None and "matches no streams" in printed:
        raise InputError(f"{path}: holds no frames: it has no video stream; a video with at least one is expected")
    if header is None:
        raise InputError(f"{path}: is truncated or damaged: no frame can be decoded; {_DAMAGED}")
    width, height, rate, per, aspect, to = (int(number) for number in header.groups())
    if aspect != to:
        log.warning("%s: its pixels are not square (%d:%d); they are taken as square", path, aspect, to)
    described = printed.partition("Stream mapping:")[0]
    return VideoFacts(
        width=width,
        height=height,
        fps=_frame_rate(path, described, Fraction(rate, per)),
        pixel_format=_first_group(r"Video: .*?, (\w+)", described) or "unknown",
        declared_frames=_declared_frames(container, described),
    )


def read_video(path: Path) -> Video:
    """Read a whole video as 8-bit RGB.

    Rotation that the file asks for is applied. Every frame is kept as it is, also at a variable frame rate: none is
    dropped or repeated. Deeper pixels (10 bits and more) are rounded to 8 bits, transparency is ignored.

    Returns:
        frames uint8 (F, H, W, 3), F at least 1, and the frame rate.

    Raises:
        InputError: the file is missing, a folder, not a video, has no video stream, holds no frame, is truncated or
            damaged.
    """
    facts = probe_video(path)
    return Video(_decode(path, facts, "rgb24", np.dtype(np.uint8), channels=3), facts.fps)


def read_grey(path: Path) -> np.ndarray:
    """Read a whole video's luma at full range.

    Returns uint8 (F, H, W) of a video with 8 bits per channel, otherwise uint16 (F, H, W) with 65535 as white.
    Raises InputError as :func:`read_video` does.
    """
    facts = probe_video(path)
    if facts.deep:
        return _decode(path, facts, "gray16le", np.dtype("<u2"), channels=1)[..., 0]
    return _decode(path, facts, "gray", np.dtype(np.uint8), channels=1)[..., 0]


def read_mask(path: Path) -> np.ndarray:
    """Read what :func:`write_mask` wrote: bool (F, H, W).

    Raises InputError as :func:`read_video` does, or because there are values besides 0 and 255.
    """
    grey = read_grey(path)
    if not np.isin(grey, (0, 255)).all():
        raise InputError(f"{path}: is not a mask: it has values besides 0 and 255; a mask is written by write_mask")
    return grey == 255


def to_uint8(frames: np.ndarray) -> np.ndarray:
    """Return float values in [0, 1] as uint8, rounded; what lies outside is clipped."""
    return np.rint(np.clip(frames, 0, 1) * 255).astype(np.uint8)


def check_even_size(frames: np.ndarray, where: str | Path) -> None:
    """Raise InputError, beginning with ``where``, unless H and W of (F, H, W, ...) are even, as 4:2:0 chroma needs."""
    height, width = frames.shape[1:3]
    if height % 2 or width % 2:
        right = f"{width - width % 2}x{height - height % 2}"
        raise InputError(f"{where}: {width}x{height} is an odd size; both must be even, e.g. cropped to {right}")


def check_same_frames(first: Path, shape: tuple[int, ...], second: Path, other: tuple[int, ...]) -> None:
    """Raise InputError unless two videos of a clip, of shapes (F, H, W, 3), agree in length and size."""
    if shape != other:
        raise InputError(
            f"{second}: has {_size(other)}, but {first} has {_size(shape)}; "
            "the videos of a clip must agree in length and size"
        )


def _size(shape: tuple[int, ...]) -> str:
    frames, height, width, _ = shape
    return f"{frames} frames of {width}x{height}"


def write_lossless(path: Path, frames: np.ndarray, fps: Fraction | float) -> None:
    """Write frames exactly: FFV1 with a checksum per slice, in Matroska (``.mkv``).

    Args:
        path: the final name; it appears only when all is on disk.
        frames: uint8 (F, H, W, 3), RGB, or (F, H, W), grey.
        fps: frames per second.

    Raises:
        InputError: frames of another type or shape, none of them, or a frame rate that is no rate.
        StageError: ffmpeg or the file system failed; a file that was there before is untouched.
    """
    pixel_format = "bgr0" if frames.ndim == 4 else "gray"  # FFV1 codes 8-bit RGB as bgr0, reversibly
    options = {**_FFV1, "pix_fmt": pixel_format, "slices": _slices(frames.shape[1], frames.shape[2])}
    encode(path, raw_stream(frames, fps), frames, options)


def _slices(height: int, width: int) -> int:
    """Return how many slices FFV1 cuts a frame into, by size alone: its default depends on the machine."""
    if min(height, width) < 2:
        return 1
    return max(2, math.ceil(math.sqrt(height * width / 4e6))) ** 2  # it refuses slices of about 5 million pixels


def write_mask(path: Path, mask: np.ndarray, fps: Fraction | float) -> None:
    """Write a mask, bool (F, H, W), as :func:`write_lossless` does: False black, True white.

    Raises InputError if ``mask`` is not bool (F, H, W), otherwise as :func:`write_lossless` does.
    """
    if mask.dtype != bool or mask.ndim != 3:
        raise InputError(f"{path}: a mask is bool (F, H, W), not {mask.dtype} {mask.shape}")
    write_lossless(path, mask.astype(np.uint8) * 255, fps)


def write_mp4(path: Path, frames: np.ndarray, fps: Fraction | float, crf: int = 18) -> None:
    """Write a video for people (``.mp4``); see :func:`encode_h264`.

    Args:
        path: the final name.
        frames: uint8 (F, H, W, 3), RGB, or (F, H, W), grey; H and W even.
        fps: frames per second.
        crf: x264's quality, 0 (best) to 51; 18 is hard to tell from the original.

    Raises:
        InputError: as :func:`write_lossless`, or an odd size.
        StageError: as :func:`write_lossless`.
    """
    stream = raw_stream(frames, fps)
    check_even_size(frames, path)
    encode_h264(path, stream, frames, crf)


def raw_stream(frames: np.ndarray, fps: Fraction | float) -> Any:
    """Return the ffmpeg-python input for ``frames``, which :func:`encode` will pipe in.

    Raises:
        InputError: frames are not uint8 (F, H, W, 3) or (F, H, W); ``fps`` is not above 0 and at most 1000.
    """
    shaped = frames.ndim == 3 or (frames.ndim == 4 and frames.shape[3] == 3)
    if frames.dtype != np.uint8 or not shaped or 0 in frames.shape:
        right = "uint8 (F, H, W, 3) or (F, H, W), none of them 0, is right"
        raise InputError(f"frames: {frames.dtype} {frames.shape} can't be written as a video; {right}")
    rate = Fraction(fps).limit_denominator(1001)
    if not 0 < rate <= 1000:
        raise InputError(f"frame rate: {fps} frames per second; above 0 and at most 1000 is right")
    return ffmpeg.input(
        "pipe:",
        format="rawvideo",
        pixel_format="rgb24" if frames.ndim == 4 else "gray",
        video_size=(frames.shape[2], frames.shape[1]),  # a string would be taken apart: "51x37" becomes 5x1
        framerate=f"{rate.numerator}/{rate.denominator}",
    )


def encode_h264(path: Path, stream: Any, frames: np.ndarray, crf: int, x264_params: str = "") -> None:
    """Encode as H.264 in MP4, 4:2:0, tagged BT.709 limited, index first.

    ``crf`` is x264's quality, 0 (best) to 51; ``x264_params`` are further settings, ``name=value`` joined by colons.
    The rest, and what is raised, is as in :func:`encode`; ``stream`` must come out with an even size.
    """
    tagged = (
        stream.filter("scale", out_color_matrix="bt709", out_range="limited", flags=ACCURATE)
        .filter("format", "yuv420p")
        .filter("setparams", range="limited", color_primaries="bt709", color_trc="bt709", colorspace="bt709")
    )
    params = ":".join(filter(None, ["cpu-independent=1", x264_params]))
    encode(path, tagged, frames, {**_X264, "crf": crf, "x264-params": params})


def encode(path: Path, stream: Any, frames: np.ndarray, options: Mapping[str, Any]) -> None:
    """Run ffmpeg on ``stream``, fed with ``frames``, and put the result at ``path`` in one move.

    Args:
        path: the final name.
        stream: what to encode: :func:`raw_stream`, maybe with filters after it.
        frames: uint8, what is piped into it.
        options: ffmpeg's output options.

    Raises:
        StageError: ffmpeg or the file system failed; a file that was there before is untouched.
    """
    with writing(Path(path)) as temporary:
        output = stream.output(f"file:{temporary}", **options, **_BITEXACT).overwrite_output()
        command = ffmpeg.compile(output.global_args("-v", "error"), cmd=ffmpeg_binary())
        data = np.ascontiguousarray(frames).reshape(-1).data
        done = subprocess.run(command, input=data, capture_output=True, check=False)
        if done.returncode or done.stderr.strip():
            raise _not_written(path, f"ffmpeg said: {_first_words(done.stderr.decode(errors='replace'))}")


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Like :func:`stereozero.artifacts.atomic_path`, but what the system refuses becomes a StageError."""
    try:
        with atomic_path(path) as temporary:
            yield temporary
    except OSError as error:
        raise _not_written(path, f"the operating system said: {error.strerror or error}") from error


def _not_written(path: Path, reason: str) -> StageError:
    hint = "check the folder and its permissions"
    if "No space left" in reason:
        folder = next(parent for parent in Path(path).absolute().parents if parent.exists())
        hint = f"{shutil.disk_usage(folder).free / 1e6:.1f} MB are free on that disk; make room and run again"
    return StageError(f"{path}: could not be written: {reason}; {hint}")


def _source(path: Path) -> Any:
    # "file:" keeps names such as "a:b.mp4" and "-x.mp4" names; the list keeps a playlist from reaching the network.
    return ffmpeg.input(f"file:{path}", protocol_whitelist="file,pipe")


def _check_is_file(path: Path) -> None:
    problem = "is a folder" if path.is_dir() else "there is no such file" if not path.exists() else None
    if problem or path.stat().st_size == 0:
        raise InputError(f"{path}: {problem or 'the file is empty'}; a video file is expected")


def _container(path: Path, printed: str) -> str:
    container = _first_group(r"^Input #0, (\S+), from", printed)
    if container is None and "End of file" in printed:
        raise InputError(f"{path}: holds no frames; at least one is needed")
    if container is None:
        reason = f"is not a video, or its beginning or end is missing (ffmpeg said: {_first_words(printed)})"
        raise InputError(f"{path}: {reason}; a whole file that ffmpeg can play is expected")
    if _NOT_VIDEO.fullmatch(container.partition(",")[0]):
        raise InputError(f"{path}: is a picture or text (ffmpeg calls it '{container}'); a video is expected")
    return container


def _frame_rate(path: Path, described: str, nominal: Fraction) -> Fraction:
    average = Fraction(_first_group(r"Video: .*?([\d.]+) fps", described) or nominal)
    if average and abs(average / nominal - 1) > Fraction(1, 10):
        log.warning("%s: variable frame rate; frames are kept as they are, at the average of %s fps", path, average)
        return average
    return nominal


def _declared_frames(container: str, described: str) -> int | None:
    """Return the number of samples an MP4 lists, which ffmpeg prints as duration and average rate.

    Others list a duration alone: no count follows at a variable rate. With sound, the duration may be the sound's.
    """
    clock = re.search(r"Duration: (\d+):(\d+):([\d.]+)", described)
    average = _first_group(r"Video: .*?([\d.]+) fps", described)
    if "mp4" not in container or not clock or not average or described.count("Stream #0:") != 1:
        return None
    hours, minutes, seconds = clock.groups()
    return round((int(hours) * 3600 + int(minutes) * 60 + float(seconds)) * float(average))


def _decode(path: Path, facts: VideoFacts, pixel_format: str, kind: np.dtype, channels: int) -> np.ndarray:
    """Return (F, H, W, channels) in ffmpeg's ``pixel_format``; refuse whatever ffmpeg complains about."""
    # setts: frames whose time stamps fall together are kept, and must not count as a complaint.
    options = {"map": "0:V:0", "fps_mode": "passthrough", "bsf:v": "setts=ts=N", "format": "rawvideo"}
    convert = f"scale=flags={ACCURATE}:out_range=full,format={pixel_format}"
    output = _source(path).output("pipe:", vf=convert, **options)
    command = ffmpeg.compile(output.global_args("-v", "error", "-nostdin"), cmd=ffmpeg_binary())
    raw, status, complaints = _drain(command)
    count, rest = divmod(len(raw), facts.height * facts.width * channels * kind.itemsize)
    if status or complaints or rest:
        words = _first_words(complaints) or f"exit status {status}, {rest} bytes left over"
        raise InputError(f"{path}: is truncated or damaged: {count} frames decoded, ffmpeg said: {words}; {_DAMAGED}")
    # The duration and the rate are printed with two decimals, so their product may be off by one.
    if count == 0 or (facts.declared_frames is not None and count < facts.declared_frames - 1):
        listed = f"its header lists {facts.declared_frames} frames, {count} could be decoded"
        raise InputError(f"{path}: is truncated or damaged: {listed}; {_DAMAGED}")
    return np.frombuffer(raw, dtype=kind).reshape(count, facts.height, facts.width, channels)


def _drain(command: list[str]) -> tuple[bytearray, int, str]:
    """Run ``command``; return its output (writable, unlike what subprocess returns), status and complaints."""
    raw = bytearray()
    with tempfile.TemporaryFile() as errors:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors) as process:
            while chunk := process.stdout.read(1 << 22):
                raw += chunk
        errors.seek(0)
        return raw, process.returncode, errors.read().decode(errors="replace").strip()


def _first_group(pattern: str, text: str) -> str | None:
    found = re.search(pattern, text, re.MULTILINE)
    return found.group(1) if found else None


def _first_words(printed: str) -> str:
    """Return ffmpeg's first two lines, where the cause is, without the addresses in them, which differ every time."""
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    return re.sub(r" @ 0x[0-9a-f]+", "", " | ".join(lines[:2]))
