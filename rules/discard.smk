# With `discard_latents` in the config, latents are deleted after their last use; see src/stereozero/upkeep.py.

READERS = readers(JOBS)
DISCARDING = [job for job in JOBS if job.stage.discardable] if PLAN.config.discard_latents else []

for rule_name in dict.fromkeys(job.rule for job in DISCARDING):

    rule:
        name:
            f"discard_{rule_name}"
        input:
            of_batch(rule_name, lambda job: [str(path) for path in (job.marker, *READERS.get(job.marker, []))]),
        output:
            str(PLAN.paths.marker("discard", rule_name, "{batch}")),
        log:
            str(PLAN.paths.log("discard", rule_name, "{batch}")),
        wildcard_constraints:
            batch=r"\d+of\d+",
        localrule: True
        conda:
            ENVIRONMENT
        params:
            arguments=of_batch(rule_name, lambda job: command("discard", *job.arguments_with(discard_marker(job)))),
        message:
            f"latents of {rule_name}, batch {{wildcards.batch}}: deleted after their last use"
        shell:
            "stereozero {params.arguments:q} > {log:q} 2>&1"
