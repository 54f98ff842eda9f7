# Tables: scores.csv and Table 1 from all scores, and Table 5, which times the forward warp.


rule tabulate:
    input:
        scores=markers_of("evaluate"),
        published=PLAN.config.published + "/table1.csv",
    output:
        scores=str(PLAN.paths.tables / "scores.csv"),
        csv=str(PLAN.paths.tables / "table1.csv"),
        markdown=report(
            str(PLAN.paths.tables / "table1.md"), category="Tables"
        ),
    params:
        fingerprint=PLAN.fingerprint,
    log:
        str(PLAN.paths.log("tabulate", "", "all")),
    conda:
        ENVIRONMENT
    message:
        "tabulate: scores.csv and Table 1"
    shell:
        "{STEREOZERO} tabulate --plan {PLAN.paths.plan:q} > {log:q} 2>&1"


rule tables:
    input:
        rules.tabulate.output if markers_of("evaluate") else [],


rule table5:
    output:
        csv=str(PLAN.paths.tables / "table5.csv"),
        markdown=report(
            str(PLAN.paths.tables / "table5.md"), category="Tables"
        ),
    params:
        settings=PLAN.config.warp_timing.model_dump(),
    log:
        str(PLAN.paths.log("time-warp", "", "all")),
    conda:
        ENVIRONMENT
    message:
        "table 5: timing three forward warps (the nested loop takes minutes)"
    threads: workflow.cores
    shell:
        "{STEREOZERO} time-warp --plan {PLAN.paths.plan:q} > {log:q} 2>&1"
