"""Errors of guesses, of networks that know the answer or nothing."""

import pytest
import torch

from stereozero.diffusion.backbone import Conditioning, GuidancePair
from stereozero.diffusion.schedule import velocity_target
from stereozero.world.training.data import ClipPool, PoolSettings, open_pool
from stereozero.world.training.guesses import TIMESTEPS, guess_errors
from stereozero.world.training.unet import VARIANT


class KnowingBackbone:
    """Its latents are small pictures about grey, its conditions the clean latents, times how much of them it tells."""

    schedule, frames = VARIANT.noise_schedule(), VARIANT.frames

    def __init__(self, told: float):
        self._told = told

    def encode_video(self, video, seeds):
        return torch.nn.functional.avg_pool3d(video.transpose(1, 2), (1, 4, 4)) - 0.5  # (B, 3, F, h, w)

    def encode_conditioning(self, requests):
        self.prompts = [request.prompt for request in requests]
        clean = Conditioning({"clip": torch.tensor([request.seed for request in requests])})
        return GuidancePair(clean, clean)

    def predict(self, latents, timestep, conditions):
        pixels = torch.stack([self.videos[clip] for clip in conditions.tensors["clip"].tolist()])
        clean = self.encode_video(pixels, None) * float(self.schedule.scale[timestep])
        alpha_bar = torch.tensor(self.schedule.alpha_bar[timestep])
        noise = (latents - alpha_bar.sqrt() * clean) / (1 - alpha_bar).sqrt()
        # The guess is sqrt(abar) x_t - sqrt(1 - abar) v.
        right = velocity_target(clean, noise, alpha_bar)
        return right + (1 - self._told) * clean / (1 - alpha_bar).sqrt()


@pytest.fixture(scope="module")
def pool(tmp_path_factory) -> ClipPool:
    return open_pool(tmp_path_factory.mktemp("pool"), PoolSettings(clips=12, split="held-out"))


@pytest.mark.parametrize(("told", "error"), [(1.0, 0.0), (0.0, 1.0), (0.5, 0.25)])
def test_errors_are_those_of_the_guess(pool, told, error):
    backbone = KnowingBackbone(told)
    backbone.videos = torch.from_numpy(pool.videos[:, :8].copy()).movedim(-1, 2) / 255
    errors = guess_errors(backbone, pool, range(1, 12))
    assert backbone.prompts == list(pool.captions[1:12])
    assert list(errors["all"]) == list(errors["main"]) == [str(timestep) for timestep in TIMESTEPS]
    # The first frame is left out of the error, but not of the mean square.
    assert list(errors["all"].values()) == pytest.approx([error] * len(TIMESTEPS), rel=0.1, abs=1e-4)
    assert (max(errors["main"].values()) > 1e-3) == (error > 0)
