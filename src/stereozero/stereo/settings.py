"""The stereo sampler's settings and its two presets.

``paper`` follows the paper's equations, ``reference`` the released code, constants and quirks included. Every
difference between the two is one of the settings below. Sampling steps are counted from the noisy end and given for a
schedule of 50 steps; for another number of steps they are scaled (:func:`scaled_step`).
"""

from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_validator

from stereozero.errors import InputError

BASE_STEPS = 50
"""The number of sampling steps that all step settings refer to."""

Step = Annotated[int, Field(ge=0, lt=BASE_STEPS)]
Repeats = tuple[tuple[Step, Annotated[int, Field(ge=1, le=100)]], ...]


class SamplerSettings(BaseModel):
    """How a target view is sampled. The defaults are the preset ``paper``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    warp: Literal["whole", "subcell", "pixel"] = Field(
        "subcell",
        description="shift latents by whole cells, by fractions, or shift the source's pixels and encode them",
    )
    condition: Literal["source", "warped"] = Field(
        "source", description="image that the target is conditioned on: the source's, or that one warped and filled"
    )
    disparity_power: float = Field(1.0, gt=0, le=10, description="exponent of the disparity before the warp")
    hole_prior: int = Field(
        0,
        ge=0,
        le=BASE_STEPS,
        description="with warp 'pixel': before this step, of 50, holes hold a classical fill; 0 leaves them blank, 50 "
        "is a control in which the network has no say",
    )
    hole_fill: Literal["edge-stretch", "temporal"] = Field(
        "edge-stretch",
        description="that fill, which also shows through seams and in a warped condition; with 'temporal', what "
        "another frame of the source shows counts as seen and is not generated",
    )
    last_warp_step: int = Field(34, ge=0, lt=BASE_STEPS, description="M: no warp and no refinement after it, of 50")
    restart_iterations: int = Field(7, ge=1, le=100, description="L: passes over the first steps")
    restart_steps: int = Field(5, ge=1, lt=BASE_STEPS, description="K: how many first steps are passed over, of 50")
    restart_source: Literal["trajectory", "resampled"] = Field(
        "trajectory", description="source latents in the restart: the trajectory's, or denoised anew with other noise"
    )
    first_filling: Literal["source", "target"] = Field(
        "source", description="what fills blanks in the first pass: the source, or after step 0 the target itself"
    )
    restart_weight: Literal["alpha", "root-alpha"] = Field(
        "alpha", description="share of fresh noise in the carried latents (Eq. 2): abar or its root"
    )
    restart_shrink: bool = Field(False, description="scale the carried latents by the ratio of successive sigmas")
    restart_noise: Literal["step", "pass"] = Field(
        "step", description="fresh noise: one draw a step, or one for all steps of a pass"
    )
    border: float = Field(1.0, ge=0, le=1, description="share of the source in blank border columns (Eq. 3); 0 is off")
    border_frames: int | None = Field(
        None, ge=1, description="valid frames that keep a cell from being border; empty: all frames of the clip"
    )
    refinement: Literal["off", "clean", "input", "previous-clean"] = Field(
        "clean",
        description="what of an evaluation enters the next at the same step: its x_0 blended with the one before, "
        "noised anew (Eq. 4); its output; or its x_0 blended with the previous step's (dormant in the released code)",
    )
    refinement_schedule: Repeats = Field(
        ((9, 8), (14, 7), (19, 6), (24, 5), (29, 4), (34, 3)),
        description="warp steps after the restart, each with its number of evaluations",
    )
    refine_after_last_warp: bool = Field(
        False, description="two evaluations at the schedule's steps after the last warp"
    )
    cross_view: Literal["off", "self", "all"] = Field(
        "self", description="attention that takes the source's queries (Eq. 9): none, self-attention, or all"
    )
    cross_view_window: tuple[int, int] | None = Field(
        None, description="start and end of cross-view attention in units of 128 attention calls; empty: always on"
    )
    shared_noise: bool = Field(True, description="both views get the same noise")
    composite: bool = Field(False, description="take the pixels that the source shows from its warped frames")
    seam: int = Field(2, ge=0, le=64, description="pixels over which generated content fades out in a composite")

    @property
    def is_control(self) -> bool:
        """Whether the target is the classical fill, encoded and decoded."""
        return self.warp == "pixel" and self.hole_prior == BASE_STEPS

    @model_validator(mode="after")
    def _check_last_warp(self) -> "SamplerSettings":
        if self.last_warp_step < self.restart_steps:
            raise ValueError(
                f"last_warp_step {self.last_warp_step} lies before the end of the restart, which takes the steps 0 to "
                f"{self.restart_steps - 1}; set it to {self.restart_steps} or more"
            )
        return self


REFERENCE: dict[str, Any] = {
    "warp": "whole",
    "restart_steps": 6,
    "restart_source": "resampled",
    "first_filling": "target",
    "restart_weight": "root-alpha",
    "restart_shrink": True,
    "restart_noise": "pass",
    "border": 0.9,
    "border_frames": 16,
    "refinement": "input",
    "refinement_schedule": (
        (6, 8), (9, 8), (14, 3), (19, 6), (24, 6), (29, 6), (34, 6), (39, 6), (44, 4), (49, 4),
    ),
    "cross_view": "all",
    "cross_view_window": (25, 45),
}  # fmt: skip

BEST: dict[str, Any] = {
    "warp": "pixel",
    "condition": "warped",
    "hole_prior": 48,
    "hole_fill": "temporal",
    "last_warp_step": 49,
    "restart_iterations": 1,
    "refinement": "off",
    "refinement_schedule": tuple((step, 1) for step in range(5, 50)),
    "cross_view": "off",
    "composite": True,
    "seam": 1,
}

PRESETS: dict[str, dict[str, Any]] = {"best": BEST, "paper": {}, "reference": REFERENCE}
"""What each preset sets; the rest is at its default.

``best`` is what measured best on the synthetic world with an earlier embedded generator, a weak one: what any frame of
the source shows is taken from there, the rest begins as a classical fill that the last steps only retouch, and
cross-view attention, restart and refinement are off, because each made the filled regions worse there. With the present
one the fill is better left alone (docs/measured.md). With the official models expect another answer.
"""


def preset(name: str, **changes: Any) -> SamplerSettings:
    """Return a preset's settings with some of them changed.

    Raises:
        InputError: there is no such preset.
    """
    if name not in PRESETS:
        raise InputError(f"sampler preset {name!r} is unknown: use one of {', '.join(PRESETS)}")
    return SamplerSettings(**(PRESETS[name] | changes))


def scaled_step(step: int, steps: int) -> int:
    """Return where a step of 50 lies among ``steps`` steps; the first stays the first, the last the last."""
    return round(step * (steps - 1) / (BASE_STEPS - 1))


class StepPlan(NamedTuple):
    """What the sampler does at which step of its schedule.

    Attributes:
        restart: number of steps that the restart passes over.
        warps: steps after the restart at which the source is warped.
        evaluations: number of evaluations of steps that have several.
        fresh_start: the last step at which the warped source and the prior of its holes replace the whole target;
            nothing before it leaves a trace, so sampling begins there. 0: none does.
    """

    restart: int
    warps: frozenset[int]
    evaluations: dict[int, int]
    fresh_start: int


def plan_steps(settings: SamplerSettings, steps: int) -> StepPlan:
    """Return what happens at each of ``steps`` steps.

    A last warp step that is not in the schedule gets as many evaluations as the entry before it (reference behaviour).

    Raises:
        InputError: too few steps for a restart and one step after it.
    """
    restart = scaled_step(settings.restart_steps - 1, steps) + 1
    if steps <= restart:
        raise InputError(f"{steps} sampling steps are too few for the stereo sampler: use at least {restart + 2}")
    last = settings.last_warp_step
    entries = [entry for entry in settings.refinement_schedule if entry[0] <= last]
    warps = {step for step, _ in entries} | {last}
    if settings.refine_after_last_warp:
        late = (step for step, _ in settings.refinement_schedule if last < step < BASE_STEPS - 1)
        entries += [(step, 2) for step in late]
    if entries:
        entries.append((last, entries[-1][1]))
    evaluations: dict[int, int] = {}
    for step, count in entries:  # the first entry of a step counts
        evaluations.setdefault(max(restart, scaled_step(step, steps)), 1 if settings.refinement == "off" else count)
    scaled = frozenset(max(restart, scaled_step(step, steps)) for step in warps)
    return StepPlan(restart, scaled, evaluations, _fresh_start(settings, steps, restart, scaled, evaluations))


def _fresh_start(
    settings: SamplerSettings, steps: int, restart: int, warps: frozenset[int], evaluations: dict[int, int]
) -> int:
    # A step's further evaluations look back to the step before it.
    prior = scaled_step(settings.hole_prior, steps) if settings.warp == "pixel" else 0
    return max((step for step in warps if restart < step < prior and evaluations.get(step, 1) == 1), default=0)
