# The gallery: a page to look at.


rule gallery:
    input:
        markers_of("inputs", "generate", "deliver", "evaluate"),
        rules.tables.input,
    output:
        report(str(PLAN.paths.gallery / "index.html"), category="Gallery"),
    log:
        str(PLAN.paths.log("gallery", "", "all")),
    group:
        "summary"
    conda:
        ENVIRONMENT
    params:
        arguments=command("gallery"),
        fingerprint=PLAN.fingerprint,
    message:
        "gallery: a page with every clip"
    shell:
        "stereozero {params.arguments:q} > {log:q} 2>&1"
