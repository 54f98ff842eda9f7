"""Runs a plan's stages one after another, in this process."""

from stereozero.jobs import STAGES
from stereozero.plan import Plan


def run_stages(plan: Plan, *left_out: str) -> Plan:
    """Run every stage but those left out, on all clips; return the plan."""
    for stage in STAGES:
        if stage.name not in left_out:
            for variant in stage.variants(plan):
                stage.run(plan, variant, stage.clips(plan, variant))
    return plan
