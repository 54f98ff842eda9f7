# The gallery: a page to look at.


rule gallery:
    input:
        markers_of("inputs", "deliver", "evaluate"),
        rules.tables.input,
    output:
        report(
            str(PLAN.paths.gallery / "index.html"), category="Gallery"
        ),
    params:
        fingerprint=PLAN.fingerprint,
    log:
        str(PLAN.paths.log("gallery", "", "all")),
    conda:
        ENVIRONMENT
    message:
        "gallery: a page with every clip"
    shell:
        "{STEREOZERO} gallery --plan {PLAN.paths.plan:q} > {log:q} 2>&1"
