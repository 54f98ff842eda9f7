"""Holes filled with what other frames of the same clip show there: the background, followed by optical flow.

What an object hides in one frame it often uncovers in another. Flow between neighbouring frames is OpenCV's DIS
(Kroeger et al., ECCV 2016). In a hole there is no flow to be seen, so the background's at the hole's end is continued
into it. From every hole pixel the flow is followed, frame by frame in both directions, until it meets a pixel that was
really seen and is no nearer than the background.
"""

from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

SAME_SURFACE = 0.05
"""Disparity by which what is found may be nearer than the hole's background and still be taken for it."""

_SMALLEST_SIDE = 24  # pixels; DIS matches patches of 8 and fails on less


class Filling(NamedTuple):
    """A clip whose holes were filled.

    Attributes:
        frames: (F, 3, H, W) float32 in [0, 1].
        unseen: (F, H, W) bool, the part of the holes whose content was invented, not found in another frame.
    """

    frames: Tensor
    unseen: Tensor


def propagate(guess: Tensor, blank: Tensor, disparity: Tensor, columns: Tensor) -> Filling:
    """Replace a spatial fill by content of other frames wherever there is any.

    Args:
        guess: (F, 3, H, W) float32 in [0, 1], the clip with its holes filled within each frame.
        blank: (F, H, W) bool, the holes.
        disparity: (F, H, W) in [0, 1]; in holes that of the background beside them.
        columns: (F, H, W) int64, the column in the same row whose surface a pixel continues; itself outside holes.

    Returns:
        ``guess`` where not blank, or where no other frame shows anything; the latter is "unseen".
    """
    if len(guess) < 2 or min(guess.shape[-2:]) < _SMALLEST_SIDE:
        return Filling(guess, blank)
    grey = _to_grey(guess)  # (F, H, W) uint8
    found = [_follow(guess, blank, disparity, _flow(grey, columns, step), step) for step in (1, -1)]
    nothing = torch.stack([distance.isinf() for _, distance in found]).all(0)  # (F, H, W)
    frames = torch.where(nothing.unsqueeze(1), guess, _nearest_in_time(*found))  # (F, 3, H, W)
    return Filling(frames, blank & nothing)


def _follow(guess: Tensor, blank: Tensor, disparity: Tensor, flow: Tensor, direction: int) -> tuple[Tensor, Tensor]:
    """Follow the flow (F, 2, H, W) from every hole pixel.

    Returns:
        What was found (F, 3, H, W), and how many frames away (F, H, W), infinite where nothing was.
    """
    content = guess.clone()
    distance = torch.full(blank.shape, torch.inf, device=blank.device)
    for start in range(len(guess)):
        holes = blank[start] & ~blank[start].all(-1, keepdim=True)  # (H, W); an empty row has no background to follow
        rows, columns = holes.nonzero(as_tuple=True)  # (P,) each
        place = torch.stack([columns, rows]).float()  # (2, P): x, y
        surface = disparity[start, rows, columns]  # (P,)
        open_ = torch.ones_like(rows, dtype=torch.bool)  # (P,)
        frame = start
        while 0 <= frame + direction < len(guess) and open_.any():
            place = place + _sampled(flow[frame], place)
            frame += direction
            seen = _is_seen(blank[frame], place) & (
                _sampled(disparity[frame][None], place)[0] <= surface + SAME_SURFACE
            )
            new = open_ & seen  # (P,)
            content[start][:, rows[new], columns[new]] = _sampled(guess[frame], place[:, new])
            distance[start, rows[new], columns[new]] = abs(frame - start)
            open_ &= ~new
    return content, distance


def _nearest_in_time(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> Tensor:
    """Return what was found fewer frames away, the mean of both at equal distance: (F, 3, H, W)."""
    (ahead, far_ahead), (behind, far_behind) = first, second
    share = torch.where(far_ahead < far_behind, 1.0, torch.where(far_ahead == far_behind, 0.5, 0.0)).unsqueeze(1)
    return torch.lerp(behind, ahead, share)


def _flow(grey: np.ndarray, columns: Tensor, direction: int) -> Tensor:
    """Return the flow to the next frame in a direction, (F, 2, H, W) in pixels (x, y); the background's in holes.

    The last frame in that direction has none: 0.
    """
    estimator = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    estimator.setFinestScale(0)
    flow = np.zeros((*grey.shape, 2), np.float32)
    for frame in range(len(grey)):
        if 0 <= frame + direction < len(grey):
            flow[frame] = estimator.calc(grey[frame], grey[frame + direction], None)
    seen = torch.from_numpy(flow).to(columns.device).movedim(-1, 1)  # (F, 2, H, W)
    return seen.gather(-1, columns.unsqueeze(1).expand_as(seen))


def _to_grey(frames: Tensor) -> np.ndarray:
    pictures = (frames * 255).round().clamp(0, 255).byte().movedim(1, -1).contiguous().cpu().numpy()  # (F, H, W, 3)
    return np.stack([cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in pictures])


def _sampled(image: Tensor, place: Tensor) -> Tensor:
    """Interpolate an image (C, H, W) at places (2, P), bilinear, the border repeated: (C, P)."""
    size = torch.tensor([[image.shape[2]], [image.shape[1]]], device=place.device)  # (2, 1)
    grid = (2 * place + 1) / size - 1  # (2, P), -1 and 1 are the outer edges
    return torch.nn.functional.grid_sample(
        image[None].float(), grid.T[None, None], padding_mode="border", align_corners=False
    )[0, :, 0]


def _is_seen(blank: Tensor, place: Tensor) -> Tensor:
    """True for places (2, P) inside the frame whose four neighbours are no hole (H, W): (P,)."""
    height, width = blank.shape
    x, y = place
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return inside & (_sampled(blank[None].float(), place)[0] < 1e-3)
