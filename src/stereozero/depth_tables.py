"""The paper's tables that compare depths: estimators (Table 3), dissolve steps (Table 4) and resolutions (Table 6).

A row is a method, told by what its depth went through: FACTS. A published number stands beside the rows whose depth
went through the same. And where the true depth is known, rows say whether precise depth matters at all.
"""

from collections.abc import Sequence

import pandas as pd

from stereozero.depth.settings import DerivedDepth
from stereozero.metrics import SCORES
from stereozero.metrics.depth_error import DEPTH_ERROR
from stereozero.metrics.statistics import BootstrapParameters, estimate_mean
from stereozero.plan import Plan
from stereozero.tables import PUBLISHED_COLUMNS

FACTS = ("depth", "propagated", "dissolve_step", "depth_scale")
"""Columns that say what a depth went through: the estimator, and the three changes in the order they are made.

Controls that take no depth have nothing in them.
"""

ALL_SCENES = "all"

_PROPAGATED = ("depth_pro", "depth_anything")  # the paper propagates the depth of image models, and no other
_FEWEST_ROWS = 3  # of two, the ranks always agree or disagree completely


def depth_facts(plan: Plan, depth: str) -> dict[str, str]:
    """Return what a depth variant went through; of a progressive one's levels, all that differs, the coarsest first."""
    levels = [_level_facts(plan, name) for name in plan.depth_levels(depth).values()]
    return {fact: " → ".join(dict.fromkeys(level[fact] for level in levels)) for fact in FACTS}


def _level_facts(plan: Plan, depth: str) -> dict[str, str]:
    settings = plan.config.depths[depth]
    if not isinstance(settings, DerivedDepth):
        return {"depth": _estimator(plan, depth), "propagated": "no", "dissolve_step": "none", "depth_scale": "1"}
    return {
        "depth": _estimator(plan, settings.depth),
        "propagated": "no" if settings.propagate == "none" else "yes",
        "dissolve_step": "none" if settings.dissolve is None else str(settings.dissolve),
        "depth_scale": "1" if settings.downsample == 1 else f"1/{settings.downsample}",
    }


def _estimator(plan: Plan, depth: str) -> str:
    return plan.config.depths[depth].estimator.replace("-", "_")


def published_rows(published: pd.DataFrame) -> pd.DataFrame:
    """Return one of the paper's tables with the columns scene, kind and FACTS; what it leaves unsaid is filled in.

    Args:
        published: as its CSV holds it.
    """
    rows = published.rename(columns=PUBLISHED_COLUMNS).assign(kind="ours")
    if "dissolve_step" in rows:
        rows["dissolve_step"] = [("none" if pd.isna(step) else f"{step:g}") for step in rows["dissolve_step"]]
    for column, usual in {"scene": ALL_SCENES, "depth": "depthcrafter", "dissolve_step": "none"}.items():
        rows[column] = rows.get(column, usual)
    rows["depth_scale"] = rows.get("depth_scale", "1")
    rows["propagated"] = ["yes" if depth in _PROPAGATED else "no" for depth in rows["depth"]]
    return rows


def beside_published(measured: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Put published numbers beside the measured rows of the same scene and facts, and those without any below.

    Args:
        measured: with the columns method, clips, scene, kind and FACTS.
        published: as :func:`published_rows` returns it.

    Returns:
        The measured columns and the published ones, which are empty where there is nothing to put.
    """
    keys = ["scene", "kind", *FACTS]
    beside = measured.merge(published, how="left", on=keys)
    counterparts = published.merge(measured[keys].drop_duplicates(), how="left", on=keys, indicator=True)
    alone = counterparts[counterparts["_merge"] == "left_only"].drop(columns="_merge")
    table = pd.concat([beside, alone.assign(method="not run here", clips=0)], ignore_index=True)
    return table.assign(clips=table["clips"].astype(int))


def precision_effects(scores: pd.DataFrame, columns: Sequence[str], parameters: BootstrapParameters) -> pd.DataFrame:
    """Return how far precise depth and good scores go together.

    Within each clip, methods are ranked by their depth's error and by a score: Spearman's correlation of the two, with
    the sign that makes 1 "the more precise the depth, the better the score" and -1 the opposite. Clips with fewer than
    three methods, or without any difference, have none.

    Args:
        scores: as :func:`~stereozero.tables.collect_scores` returns it, with the rows of ``depth_error``.
        columns: names of scores; those that rank nothing are left out.
        parameters: of the bootstrap over clips.

    Returns:
        score, correlation, low, high, clips: a row a score; the mean over clips and its interval.
    """
    errors = _by_clip(scores, DEPTH_ERROR.name)
    rows = []
    for name in columns:
        if SCORES[name].better == "none" or name not in set(scores["score"]):
            continue
        correlations = _rank_correlations(errors, _by_clip(scores, name).reindex_like(errors))
        sign = 1 if SCORES[name].better == "lower" else -1
        estimate = estimate_mean((sign * correlations).tolist(), parameters)
        rows.append((name, estimate.mean, estimate.low, estimate.high, estimate.n))
    return pd.DataFrame(rows, columns=["score", "correlation", "low", "high", "clips"])


def _by_clip(scores: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return a score's values, a row a clip and a column a method."""
    return scores[scores["score"] == name].pivot(index="clip_id", columns="method", values="value").astype(float)


def _rank_correlations(one: pd.DataFrame, other: pd.DataFrame) -> pd.Series:
    """Return Spearman's correlation of each row."""
    known = one.notna() & other.notna()
    ranks, other_ranks = (values.where(known).rank(axis=1) for values in (one, other))
    usable = (known.sum(axis=1) >= _FEWEST_ROWS) & (ranks.nunique(axis=1) > 1) & (other_ranks.nunique(axis=1) > 1)
    return ranks[usable].corrwith(other_ranks[usable], axis=1)
