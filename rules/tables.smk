# Tables: scores.csv, Table 1 and paired differences from all scores, and Table 5, which times the forward warp.


rule tabulate:
    input:
        scores=markers_of("evaluate"),
        published=str(PLAN.published("table1")),
    output:
        scores=str(PLAN.paths.tables / "scores.csv"),
        csv=str(PLAN.paths.tables / "table1.csv"),
        markdown=report(str(PLAN.paths.tables / "table1.md"), category="Tables"),
        paired=str(PLAN.paths.tables / "paired.csv"),
        paired_markdown=report(str(PLAN.paths.tables / "paired.md"), category="Tables"),
    log:
        str(PLAN.paths.log("tabulate", "", "all")),
    group:
        "summary"
    conda:
        ENVIRONMENT
    params:
        arguments=command("tabulate"),
        fingerprint=PLAN.fingerprint,
    message:
        "tabulate: scores.csv, Table 1 and paired differences"
    shell:
        "stereozero {params.arguments:q} > {log:q} 2>&1"


rule tables:
    input:
        rules.tabulate.output if markers_of("evaluate") else [],


rule table5:
    output:
        csv=str(PLAN.paths.tables / "table5.csv"),
        markdown=report(str(PLAN.paths.tables / "table5.md"), category="Tables"),
    log:
        str(PLAN.paths.log("time-warp", "", "all")),
    conda:
        ENVIRONMENT
    threads: workflow.cores
    params:
        arguments=command("time-warp"),
        settings=PLAN.config.warp_timing.model_dump(),
    message:
        "table 5: timing three forward warps (the nested loop takes minutes)"
    shell:
        "stereozero {params.arguments:q} > {log:q} 2>&1"
