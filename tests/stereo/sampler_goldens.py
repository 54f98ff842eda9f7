"""The golden cases of the stereo sampler: the released code's numbers with a tiny UNet of named tensors."""

import gzip
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from dynamicrafter_goldens import build_unet, named_tensor, split_context
from torch import Tensor

from stereozero.diffusion.backbone import Conditioning, GuidancePair
from stereozero.diffusion.schedule import DdimSchedule, NoiseSchedule, ddim_schedule
from stereozero.stereo.latent_warp import WholeCellWarp, latent_disparity
from stereozero.stereo.sampler import StereoSampler
from stereozero.stereo.settings import SamplerSettings, preset
from stereozero.stereo.two_views import TwoViewDenoiser

FOLDER = Path(__file__).parents[1] / "golden" / "stereo"
CASES = ("sampler", "sampler_t16", "sampler_t16pos", "sampler_refine_all", "sampler_on_pred_x0", "sampler_256")
GUIDANCE = 7.5


def read_zipped(name: str) -> dict:
    with gzip.open(FOLDER / f"{name}.json.gz", "rt") as stream:
        return json.load(stream)


class TinyBackbone:
    """The part of a backbone that the sampler asks for, around a UNet; counts what it evaluates."""

    def __init__(self, unet, schedule: NoiseSchedule):
        self.unet, self.schedule = unet, schedule
        self.samples = 0

    def attentions(self):
        return dict(self.unet.named_attentions())

    @torch.no_grad()
    def predict(self, latents: Tensor, timestep: int, conditioning: Conditioning) -> Tensor:
        self.samples += len(latents)
        given = conditioning.tensors
        sample = torch.cat([latents, given["image_latents"]], dim=1)
        return self.unet(sample, timestep, given["text"], given["image"], given["fs"])


@dataclass
class GoldenCase:
    """A case, ready to run.

    Attributes:
        name: of the files.
        facts: of its JSON file.
        arrays: expected numbers.
        backbone, pair, schedule, settings: what the case was made with.
    """

    name: str
    facts: dict
    arrays: dict[str, Tensor]
    backbone: TinyBackbone
    pair: GuidancePair
    schedule: DdimSchedule
    settings: SamplerSettings

    def draw(self, number: int, batch: int) -> Tensor:
        """The (C, F, h, w) draw that the reference made as its ``number``-th since the last seeding."""
        shape = (batch, *self.facts["noise_shape"][1:])
        return named_tensor(f"input:{self.name}/draw{number}_b{batch}", shape)[0]

    def trajectory(self) -> Tensor:
        """The source's (S + 1, C, F, h, w): x_T, and plain DDIM from there."""
        from stereozero.diffusion.guidance import guided_prediction
        from stereozero.diffusion.schedule import ddim_step

        entries = [self.draw(0, 1)[None]]
        for step in range(len(self.schedule)):
            now = self.schedule.coefficients(step)
            prediction = guided_prediction(self.backbone, entries[-1], now.timestep, self.pair, GUIDANCE)
            noise = self.draw(step + 1, 1)[None]
            entries.append(ddim_step(prediction, entries[-1], now, noise, self.schedule.prediction).previous)
        return torch.cat(entries)

    def sampler(self, trajectory: Tensor, memory: float | None = None, **changes) -> StereoSampler:
        settings = self.settings.model_copy(update=changes)
        strength = float(self.facts["args"]["scale"])
        denoiser = TwoViewDenoiser(
            self.backbone, self.pair, self.pair, self.schedule, settings, guidance=GUIDANCE, memory=memory
        )
        disparity = (self.arrays["disparity_u8"][:, 0].numpy() / 255).astype(np.float32)
        small = latent_disparity(torch.from_numpy(disparity), *trajectory.shape[-2:], settings.disparity_power)
        warp = WholeCellWarp(small, strength)
        return StereoSampler(denoiser, self.schedule, trajectory, warp, NamedNoise(self), strength, settings)


class NamedNoise:
    """The reference's draws, by their place in its random stream."""

    def __init__(self, case: GoldenCase):
        self._case, self._drawn = case, 7  # the next draw after the restart's

    def restart_step(self, step: int) -> Tensor:
        return self._case.draw(step + 1, 2)

    def carried(self, iteration: int, step: int) -> Tensor:
        return self._case.draw(52 if iteration == 0 else 8, 1)

    def step(self, step: int, evaluation: int, is_last: bool) -> Tensor:
        self._drawn += 1
        return self._case.draw(self._drawn - 1, 2)

    def renewal(self, step: int, evaluation: int) -> Tensor:
        raise AssertionError("the released code draws no such noise")


def read_case(name: str) -> GoldenCase:
    facts = read_zipped(name)
    with np.load(FOLDER / f"{name}.npz") as stored:
        arrays = {key: torch.from_numpy(stored[key]) for key in stored.files}
    arguments, model = facts["args"], facts["model_config"]
    is_velocity = model.get("parameterization") == "v"
    schedule = NoiseSchedule.scaled_linear(
        "v_prediction" if is_velocity else "epsilon",
        zero_terminal_snr=is_velocity,
        base_scale=model.get("base_scale"),
    )
    shapes = read_zipped("unet_256_params" if name == "sampler_256" else "unet_tiny_params")
    unet = build_unet({"constructor_args": facts["unet_config"], "weights": shapes})
    steps = ddim_schedule(schedule, 50, spacing="trailing" if is_velocity else "uniform", eta=1.0)
    return GoldenCase(
        name, facts, arrays, TinyBackbone(unet, schedule), _conditions(name, facts), steps, _settings(arguments)
    )


def _settings(arguments: dict) -> SamplerSettings:
    start, end = arguments["att"]
    changes = {"last_warp_step": arguments["mws"], "cross_view_window": (start, end)}
    if arguments.get("refine_non_mask"):
        changes["refine_after_last_warp"] = True
    if "sdf" in arguments:
        changes["disparity_power"] = math.e
    if arguments.get("option") == "on_pred_x0_only":
        changes["refinement"] = "previous-clean"
    return preset("reference", **changes)


def _conditions(name: str, facts: dict) -> GuidancePair:
    _, channels, frames, height, width = facts["noise_shape"]
    given = f"input:{name}/"
    concat = named_tensor(given + "c_concat", (1, channels, frames, height, width))
    unconditional = [
        named_tensor(given + "uc_text", (1, 77, 32)),
        named_tensor(given + "uc_image", (1, 16 * frames, 32)),
    ]
    conditional = named_tensor(given + "c_crossattn", (1, 77 + 16 * frames, 32))
    shared = {"image_latents": concat, "fs": torch.tensor([facts["args"].get("fs", 24)])}
    return GuidancePair(
        *(
            Conditioning(split_context(context, frames) | shared)
            for context in (conditional, torch.cat(unconditional, dim=1))
        )
    )
