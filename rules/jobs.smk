# One rule for each stage and variant; its jobs are batches of clips. See src/stereozero/jobs.py.
# A rule for each job would be simpler, but Snakemake plans in the square of the number of rules: minutes for thousands.

for rule_name, batches in JOBS_OF_RULE.items():
    job = next(iter(batches.values()))  # all of them are of one stage and variant

    rule:
        name:
            rule_name
        input:
            of_batch(rule_name, needs_of),
        output:
            str(PLAN.paths.marker(job.stage.name, job.variant, "{batch}")),
        log:
            str(PLAN.paths.log(job.stage.name, job.variant, "{batch}")),
        wildcard_constraints:
            batch=r"\d+of\d+",
        group:
            of_batch(rule_name, group_of)
        conda:
            ENVIRONMENT
        threads: 1
        resources:
            **gpu_resources(job),
            mem_mb=asked_for(rule_name, "mem_mb"),
            runtime=asked_for(rule_name, "runtime"),
        params:
            title=of_batch(rule_name, lambda job: job.title),
            arguments=of_batch(rule_name, lambda job: command(*job.arguments)),
            fingerprint=of_batch(rule_name, lambda job: job.fingerprint),
        message:
            "{params.title}"
        shell:
            "export OMP_NUM_THREADS={threads} OPENCV_FOR_THREADS_NUM={threads}; "
            "stereozero {params.arguments:q} > {log:q} 2>&1 "
            f"# code {job.stage.code}"


rule inputs_checked:
    input:
        markers_of("inputs"),
    output:
        touch(str(PLAN.paths.inputs_checked)),
    localrule: True
