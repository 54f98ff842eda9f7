"""Views whose disparity is known exactly."""

import numpy as np
import pytest
from scipy import ndimage


def shift_left(texture, pixels):
    """Move periodic rows to the left by any fraction of a pixel, exactly."""
    phase = np.exp(2j * np.pi * np.fft.fftfreq(texture.shape[1]) * pixels)
    return np.real(np.fft.ifft(np.fft.fft(texture, axis=1) * phase, axis=1))


def to_video(grey, frames):
    levels = np.clip(128 + 40 * grey, 0, 255).round().astype(np.uint8)
    return np.repeat(np.repeat(levels[None, :, :, None], frames, axis=0), 3, axis=3)


def textured(height, width, seed=0, sigma=1.2):
    noise = ndimage.gaussian_filter(np.random.RandomState(seed).randn(height, width), sigma, mode="wrap")
    return noise / noise.std()


@pytest.fixture
def shifted_views():
    """Return a maker of (left, right) videos; the right one's content lies `pixels` to the left: disparity > 0."""

    def make(height, width, pixels, frames=1, seed=0):
        texture = textured(height, width, seed)
        return to_video(texture, frames), to_video(shift_left(texture, pixels), frames)

    return make


@pytest.fixture
def coloured_frame():
    """Return a deterministic (H, W, 3) uint8 frame and a distorted copy, the input of the agreed reference numbers."""

    def make(height, width):
        y, x = np.mgrid[:height, :width].astype(np.float64)
        rng = np.random.RandomState(7)
        waves = [128 + 60 * np.sin(x / (5 + c)) + 40 * np.cos(y / (3 + c) + x / 11) for c in range(3)]
        base = np.stack(waves, axis=2)
        first = np.clip(base + rng.randn(height, width, 3) * 10, 0, 255).astype(np.uint8)
        second = np.clip(0.8 * base + 20 + rng.randn(height, width, 3) * 15, 0, 255).astype(np.uint8)
        return first, second

    return make
