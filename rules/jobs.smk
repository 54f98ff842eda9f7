# One rule for each job of the per-clip stages; see src/stereozero/jobs.py.

for job in JOBS:

    rule:
        name:
            job.name
        input:
            needs_of(job),
        output:
            str(job.marker),
        log:
            str(job.log),
        conda:
            ENVIRONMENT
        threads: 1
        resources:
            gpu=int(job.stage.needs_gpu and PLAN.config.device != "cpu"),
        params:
            arguments=command(*job.arguments),
            fingerprint=job.fingerprint,
        message:
            job.title
        shell:
            "export OMP_NUM_THREADS={threads} OPENCV_FOR_THREADS_NUM={threads}; "
            "stereozero {params.arguments:q} > {log:q} 2>&1"


rule inputs_checked:
    input:
        markers_of("inputs"),
    output:
        touch(str(PLAN.paths.inputs_checked)),
    localrule: True
