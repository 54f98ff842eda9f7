"""Figure 7: frames x methods, a picture a clip."""

import logging

import numpy as np

from stereozero.manifest import Clip
from stereozero.plan import Plan
from stereozero.preview import contact_sheet
from stereozero.stages.views import view_files
from stereozero.video import read_video

log = logging.getLogger(__name__)

_COLUMNS = 5


def draw_figure7(plan: Plan) -> None:
    """Write the picture of every clip that has a source video into the run's tables folder."""
    for clip in plan.clips:
        if plan.has_source(clip):
            _draw(plan, clip)
    log.info("figure 7: %s", plan.paths.tables / "figure7")


def _draw(plan: Plan, clip: Clip) -> None:
    files = view_files(plan, list(plan.config.methods), clip)
    videos = {title: read_video(path).frames for title, path in files.items()}
    times = np.linspace(0, len(videos["source"]) - 1, _COLUMNS).round().astype(int)
    contact_sheet(plan.paths.figure7(clip.clip_id), videos, sorted(set(times.tolist())))
