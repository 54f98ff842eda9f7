# One rule for each job of the per-clip stages; see src/stereozero/jobs.py.

for job in JOBS:

    rule:
        name:
            job.name
        input:
            needs_of(job),
        output:
            str(job.marker),
        params:
            arguments=job.arguments,
            fingerprint=job.fingerprint,
        log:
            str(job.log),
        conda:
            ENVIRONMENT
        message:
            job.title
        resources:
            gpu=int(job.stage.needs_gpu),
        shell:
            "{STEREOZERO} {params.arguments:q} --plan {PLAN.paths.plan:q} > {log:q} 2>&1"


rule inputs_checked:
    input:
        markers_of("inputs"),
    output:
        touch(str(PLAN.paths.inputs_checked)),
    localrule: True
