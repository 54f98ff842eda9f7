"""Runs a plan's stages one after another, in this process."""

import shutil
from pathlib import Path

from stereozero.jobs import STAGES
from stereozero.plan import Plan


def run_stages(plan: Plan, *left_out: str) -> Plan:
    """Run every stage but those left out, on all clips; return the plan."""
    for stage in STAGES:
        if stage.name not in left_out:
            for variant in stage.variants(plan):
                stage.run(plan, variant, stage.clips(plan, variant))
    return plan


def run_stages_once(plan: Plan, kept: Path, *left_out: str) -> Plan:
    """Do the same, or take over the results of such a plan that an earlier call left in ``kept``."""
    if kept.exists():
        shutil.copytree(kept, plan.paths.root)
    else:
        run_stages(plan, *left_out)
        shutil.copytree(plan.paths.root, kept)
    return plan
