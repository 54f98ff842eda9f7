"""Evaluating the network on the target view, with the source's queries, and on the source no more often than needed."""

import logging

import psutil
import torch
from torch import Tensor

from stereozero.diffusion.backbone import Backbone, GuidancePair
from stereozero.diffusion.guidance import branch_count, guided_prediction
from stereozero.diffusion.schedule import DdimSchedule
from stereozero.stereo.cross_view import AttentionWindow, CrossViewAttention, Queries
from stereozero.stereo.settings import SamplerSettings

log = logging.getLogger(__name__)

_SHARE = 1 / 3  # of the free memory that queries may take


class TwoViewDenoiser:
    """Guided predictions for the target view of one clip.

    Args:
        backbone: the model.
        source_pair, target_pair: conditions of each view; the paper's are the same.
        schedule: sampling steps.
        settings: which attention takes the source's queries, and when.
        guidance: scale of classifier-free guidance; 1 is none.
        image_guidance: scale towards the image alone; see :func:`~stereozero.diffusion.guidance.guided_prediction`.
        one_batch: all branches of guidance in one call.
        memory: largest memory for the source's queries [bytes]; None for a third of what is free. With too little of
            it, source and target are evaluated together, each time.
    """

    def __init__(
        self,
        backbone: Backbone,
        source_pair: GuidancePair,
        target_pair: GuidancePair,
        schedule: DdimSchedule,
        settings: SamplerSettings,
        *,
        guidance: float,
        image_guidance: float | None = None,
        one_batch: bool = True,
        memory: float | None = None,
    ):
        self._backbone, self._schedule = backbone, schedule
        self._source_pair, self._target_pair = source_pair, target_pair
        self._both = GuidancePair.join([source_pair, target_pair])
        self._guidance, self._image_guidance, self._one_batch = guidance, image_guidance, one_batch
        window = settings.cross_view_window
        self._attention = CrossViewAttention(
            backbone.attentions(),
            settings.cross_view,
            AttentionWindow(*window) if window else None,
            branches=branch_count(guidance, image_guidance),
            one_batch=one_batch,
        )
        self._memory = memory
        self._kept: dict[int, Queries] = {}
        self._source: Tensor | None = None
        self._queries: Queries | None = None
        self._done = 0  # evaluations of the target

    def predict_source(self, source: Tensor, step: int) -> Tensor:
        """Return the prediction for the source (C, F, h, w), and keep its queries for :meth:`face`."""
        prediction, queries = self._record(source, step)
        self._keep(step, queries)
        return prediction

    def face(self, source: Tensor, step: int, evaluations: int, *, keep: bool = False) -> None:
        """Have the next evaluations of the target, all at one step, look at these latents of the source.

        Args:
            source: (C, F, h, w) before the step.
            step: sampling step.
            evaluations: how many follow.
            keep: the same source will be faced at this step again.
        """
        self._source, self._queries = source, self._kept.get(step)
        needed = any(self._attention.activity(self._done + number) for number in range(evaluations))
        if self._queries is not None or not needed or self._memory == 0:
            return
        _, queries = self._record(source, step)
        if queries.overflowed:
            log.info("the source's queries do not fit into memory: both views are evaluated together, each time")
            self._memory = 0
        else:
            self._queries = queries
            if keep:
                self._keep(step, queries)

    def predict(self, target: Tensor, step: int) -> Tensor:
        """Return the prediction for the target (C, F, h, w)."""
        activity = self._attention.activity(self._done)
        self._done += 1
        if not activity:
            return self._guided(target[None], step, self._target_pair)[0]
        if self._queries is not None:
            with self._attention.replaying(self._queries, activity):
                return self._guided(target[None], step, self._target_pair)[0]
        with self._attention.joining(activity):
            return self._guided(torch.stack([self._source, target]), step, self._both)[1]

    def forget(self) -> None:
        """Drop the queries that were kept; the restart's are of no use after it."""
        self._kept.clear()

    def _record(self, source: Tensor, step: int) -> tuple[Tensor, Queries]:
        if self._memory is None:
            self._memory = _SHARE * free_memory(source.device)
        with self._attention.recording(self._memory) as queries:
            prediction = self._guided(source[None], step, self._source_pair)[0]
        return prediction, queries

    def _keep(self, step: int, queries: Queries) -> None:
        taken = sum(kept.bytes for kept in self._kept.values())
        if not queries.overflowed and taken + queries.bytes <= self._memory:
            self._kept[step] = queries

    def _guided(self, latents: Tensor, step: int, pair: GuidancePair) -> Tensor:
        timestep = self._schedule.coefficients(step).timestep
        return guided_prediction(
            self._backbone,
            latents,
            timestep,
            pair,
            self._guidance,
            image_scale=self._image_guidance,
            one_batch=self._one_batch,
        )


def free_memory(device: torch.device) -> int:
    """Return a device's free memory in bytes."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available
