# Another --configfile stands for itself: Snakemake would mix its keys into those of config.yaml.
if not workflow.overwrite_configfiles:

    configfile: "config.yaml"


include: "rules/common.smk"
include: "rules/weights.smk"
include: "rules/jobs.smk"
include: "rules/discard.smk"
include: "rules/targets.smk"
include: "rules/tables.smk"
include: "rules/ablations.smk"
include: "rules/depth_tables.smk"
include: "rules/figures.smk"
include: "rules/report.smk"
include: "rules/world.smk"
include: "rules/benchmark.smk"


rule all:
    default_target: True
    input:
        [str(job.marker) for job in JOBS],
        rules.tables.input,
        rules.gallery.output,
        [str(discard_marker(job)) for job in DISCARDING],
    message:
        "everything is there"
