"""Whether a thing keeps its shape: outlines cut out by colour, compared wherever they are, however large and turned."""

import cv2
import numpy as np

_NEAR = 255 / 5  # distance from a colour below which a pixel has it [8-bit levels]
_SIDE = 64  # of the canvas on which outlines are laid over each other [px]
_AREA = 800.0  # of an outline on it [px]
_TURNS = range(-90, 91, 5)  # [degrees]; the world's objects turn by less in a clip


def has_colour(frame: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """Return where a frame (H, W, 3) uint8 RGB has about a colour (3,): (H, W) bool."""
    return np.linalg.norm(frame.astype(np.float32) - colour, axis=2) < _NEAR


def largest_part(mask: np.ndarray) -> np.ndarray:
    """Return the largest connected part of a mask (H, W) bool, gaps of a pixel closed, as (H, W) bool."""
    closed = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(closed)
    areas = statistics[1:, cv2.CC_STAT_AREA]  # without the rest of the picture
    return labels == 1 + areas.argmax() if len(areas) else np.zeros(mask.shape, bool)


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Return the intersection over union of two outlines (H, W) bool, laid over each other as well as they fit.

    They are brought to the same centre and area; the second is turned by what fits best, up to a quarter.

    Returns:
        1 for the same shape, about 0.7 for a disc and an equilateral triangle, 0 if one is empty.
    """
    if not (first.any() and second.any()):
        return 0.0
    still = _laid(first, 0)  # (S, S)
    turned = [_laid(second, degrees) for degrees in _TURNS]
    return max(float(np.minimum(still, one).sum() / np.maximum(still, one).sum()) for one in turned)


def _laid(mask: np.ndarray, degrees: float) -> np.ndarray:
    # Centred on the canvas, with the canvas' area, and turned: (S, S) float32 in [0, 1].
    rows, columns = np.nonzero(mask)
    scale = (_AREA / len(rows)) ** 0.5
    matrix = cv2.getRotationMatrix2D((columns.mean(), rows.mean()), degrees, scale)  # (2, 3)
    matrix[:, 2] += (_SIDE - 1) / 2 - np.array([columns.mean(), rows.mean()])
    return cv2.warpAffine(mask.astype(np.float32), matrix, (_SIDE, _SIDE), flags=cv2.INTER_LINEAR)
