"""Gallery: one page to look at: each clip's source and targets as a contact sheet, videos for players, Table 1."""

import html
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from stereozero.manifest import Clip, ClipKind
from stereozero.plan import Plan
from stereozero.preview import contact_sheet
from stereozero.stages.deliver import delivered_files
from stereozero.stages.tabulate import write_text
from stereozero.video import read_video

log = logging.getLogger(__name__)

_MOST_CLIPS = 40
_COLUMNS = 4
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem;color:#222}"
    "img,video{max-width:100%;image-rendering:pixelated}video{width:24rem}figure{display:inline-block;margin:.5rem}"
    "table{border-collapse:collapse;font-size:.8rem}td,th{border:1px solid #ccc;padding:.2rem .4rem;text-align:right}"
    ".wide{overflow-x:auto}td:first-child{text-align:left;white-space:nowrap}"
    "figcaption{font-size:.8rem;color:#555}h2{margin-top:3rem}"
)


def write_gallery(plan: Plan) -> None:
    """Write ``index.html`` and a contact sheet a clip into the run's gallery folder.

    At most 40 clips are shown; the page says how many there are.
    """
    clips = list(plan.clips[:_MOST_CLIPS])
    for clip in clips:
        if plan.has_source(clip):
            _write_sheet(plan, clip)
    write_text(plan.paths.gallery / "index.html", "\n".join(_page(plan, clips)) + "\n")
    log.info("gallery of %d clips: %s", len(clips), plan.paths.gallery / "index.html")


def prompt_of(plan: Plan, clip: Clip) -> str:
    """Return the clip's prompt; a world clip without one is described by its caption."""
    caption = plan.paths.world(clip.clip_id) / "caption.txt"
    if not clip.prompt and clip.kind is ClipKind.WORLD and caption.is_file():
        return caption.read_text(encoding="utf-8").strip()
    return clip.prompt


def _write_sheet(plan: Plan, clip: Clip) -> None:
    videos = {"source": read_video(plan.paths.source_video(clip)).frames}
    for method in plan.config.methods:
        if plan.runs(method, clip):
            videos[method] = read_video(plan.paths.target_video(method, clip.clip_id)).frames
    count = len(videos["source"])
    times = sorted(set(np.linspace(0, count - 1, _COLUMNS).round().astype(int).tolist()))
    contact_sheet(plan.paths.gallery / f"{clip.clip_id}.png", videos, times)


def _page(plan: Plan, clips: list[Clip]) -> Iterator[str]:
    title = html.escape(f"StereoZero, run {plan.config.run}")
    yield f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><style>{_STYLE}</style>"
    yield f"<h1>{title}</h1>"
    yield f"<p>{len(clips)} of {len(plan.clips)} clips. Red-cyan glasses: red on the left eye.</p>"
    yield from _table(plan)
    for clip in clips:
        yield f"<h2>{html.escape(clip.clip_id)}</h2><p>{html.escape(prompt_of(plan, clip))}</p>"
        yield from _pictures(plan, clip)
        for method in plan.config.methods:
            if plan.runs(method, clip):
                yield _figure(plan, method, clip)
    yield "</html>"


def _pictures(plan: Plan, clip: Clip) -> Iterator[str]:
    """Show the contact sheet, and the images that a clip starts from."""
    if plan.has_source(clip):
        yield f'<img src="{clip.clip_id}.png" alt="frames of source and targets">'
    for name in ("image.png", "end_image.png"):
        path = plan.paths.inputs(clip.clip_id) / name
        if path.is_file():
            yield f'<img src="{_relative(plan, path)}" alt="{name}">'


def _table(plan: Plan) -> Iterator[str]:
    path = plan.paths.tables / "table1.csv"
    if path.is_file():
        table = pd.read_csv(path)
        measured = table[table["origin"] == "measured"].dropna(axis="columns", how="all")
        shown = [
            name for name in measured.columns if not name.endswith(("_low", "_high", "_clips")) and name != "origin"
        ]
        yield "<h2>Table 1, measured</h2>"
        yield f"<div class=wide>{measured[shown].to_html(index=False, float_format='%.3g', na_rep='–', border=0)}</div>"


def _figure(plan: Plan, method: str, clip: Clip) -> str:
    """Show a method's first anaglyph and link all its files."""
    files = delivered_files(plan, method, clip)
    links = " ".join(f'<a href="{_relative(plan, path)}">{html.escape(name)}</a>' for name, path in files.items())
    shown = next((path for name, path in files.items() if name.startswith("anaglyph")), None)
    video = f'<video src="{_relative(plan, shown)}" controls loop muted></video>' if shown else ""
    return f"<figure>{video}<figcaption>{html.escape(method)}: {links}</figcaption></figure>"


def _relative(plan: Plan, path: Path) -> str:
    return f"../{path.relative_to(plan.paths.root).as_posix()}"
