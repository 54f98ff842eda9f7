"""Weights: fetch and verify the published models that a run needs, before anything waits for them on a GPU."""

import logging
from dataclasses import asdict
from pathlib import Path

from stereozero.artifacts import write_json
from stereozero.errors import InputError
from stereozero.plan import Plan
from stereozero.published_models import REGISTRY
from stereozero.weights import fetch, needed_models

log = logging.getLogger(__name__)


def fetch_weights(plan: Plan, name: str) -> None:
    """Fetch one model and write what it is (``model.json``) and where it came from (``source.json``).

    ``model.json`` depends on the file's content alone: stages take it for an input, so that the same weights from
    another place make nothing run again.

    Raises:
        InputError: the run needs no such model, or it can't be had; see :func:`stereozero.weights.fetch`.
    """
    needed = needed_models(plan.config)
    if name not in needed:
        raise InputError(f"the run needs no model '{name}'; it needs: {', '.join(needed) or 'none'}")
    model = REGISTRY[name]
    cache = Path(plan.config.weights_folder) if plan.config.weights_folder else None
    fetched = fetch(model, needed[name], cache)
    facts = plan.paths.weights(name)
    write_json(facts.with_name("source.json"), {**asdict(model), "path": str(fetched.path)})
    write_json(facts, {"model": name, "bytes": fetched.size, "sha256": fetched.sha256})
    log.info("%s: verified, %.1f GB, %s", name, fetched.size / 1e9, fetched.path)
