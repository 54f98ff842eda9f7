"""Pictures of disparities side by side, as in the paper's Fig. 6."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from stereozero.preview import colour_map_disparity, contact_sheet

_MOST_FRAMES = 4


def draw_disparities(
    path: Path, source: np.ndarray, disparities: Mapping[str, np.ndarray], times: Sequence[int] | None = None
) -> None:
    """Write a table of disparities in colours below the source view (PNG), for comparing by eye.

    Args:
        path: the final name, ``.png``.
        source: uint8 (F, H, W, 3), RGB.
        disparities: name -> float (F, H, W) in [0, 1]; one row each, in this order.
        times: indices of the frames, one column each; four that are spread over the clip by default.

    Raises:
        InputError: a negative time.
        StageError: the file system failed; a file that was there before is untouched.
    """
    if times is None:
        times = np.unique(np.linspace(0, len(source) - 1, _MOST_FRAMES).round().astype(int)).tolist()
    rows = {name: colour_map_disparity(disparity) for name, disparity in disparities.items()}
    contact_sheet(path, {"source": source, **rows}, times)


def draw_dissolve_levels(
    path: Path, source: np.ndarray, levels: Mapping[int | None, np.ndarray], truth: np.ndarray | None = None
) -> None:
    """Write a picture of dissolve levels (Fig. 6), the detailed one first.

    Args:
        path, source: as for :func:`draw_disparities`.
        levels: dissolve step, or None where nothing was dissolved, -> disparity (F, H, W).
        truth: the true disparity (F, H, W), where it is known; drawn above the levels.
    """
    rows = {} if truth is None else {"truth": truth}
    for step in sorted(levels, key=lambda step: step or 0):
        rows["not dissolved" if step is None else f"dissolved, t = {step}"] = levels[step]
    draw_disparities(path, source, rows)
