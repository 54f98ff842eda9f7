"""Figure 7: frames x methods, a picture a clip."""

import logging
from collections.abc import Sequence

import numpy as np

from stereozero.manifest import Clip
from stereozero.plan import Plan
from stereozero.preview import contact_sheet
from stereozero.stages.views import view_files
from stereozero.video import read_video

log = logging.getLogger(__name__)

_COLUMNS = 5


def draw_figure7(plan: Plan, clips: Sequence[Clip] | None = None, methods: Sequence[str] | None = None) -> None:
    """Write the picture of every clip that has a source video into the run's tables folder.

    Args:
        plan: the run.
        clips: those to draw; None for all.
        methods: rows of the pictures, in this order; None for all. Those that were not run are named in the log.

    Raises:
        InputError: the config has no such method.
    """
    shown = {name: plan.method(name) for name in methods or plan.config.methods}
    for name, reason in plan.obstacles.items():
        if name in shown:
            log.warning("figure 7: there is no row '%s', it was not run: %s", name, reason)
    for clip in plan.clips if clips is None else clips:
        if plan.has_source(clip):
            _draw(plan, list(shown), clip)
    log.info("figure 7: %s", plan.paths.tables / "figure7")


def _draw(plan: Plan, methods: Sequence[str], clip: Clip) -> None:
    files = view_files(plan, methods, clip)
    videos = {title: read_video(path).frames for title, path in files.items()}
    times = np.linspace(0, len(videos["source"]) - 1, _COLUMNS).round().astype(int)
    contact_sheet(plan.paths.figure7(clip.clip_id), videos, sorted(set(times.tolist())))
