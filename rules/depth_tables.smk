# Tables 3, 4 and 6: methods that differ in the depth they are given; see stages/depth_table.py.

from stereozero.stages.views import first_of_scenes, with_depth

for table, methods in PLAN.config.depth_tables:

    rule:
        name:
            f"depth_{table}"
        input:
            scores_of(methods),
            published=str(PLAN.published(table)),
        output:
            csv=str(PLAN.paths.depth_table(table, ".csv")),
            markdown=report(str(PLAN.paths.depth_table(table, ".md")), category="Tables"),
            pictures=[
                report(str(PLAN.paths.depth_table(table, f"-{clip.clip_id}.png")), category="Tables")
                for clip in first_of_scenes(PLAN, with_depth(PLAN, methods))
            ],
        log:
            str(PLAN.paths.log("depth-table", table, "all")),
        conda:
            ENVIRONMENT
        params:
            arguments=command("depth-table", table),
            fingerprint=PLAN.fingerprint,
        message:
            f"{table}: {', '.join(methods)}"
        shell:
            "stereozero {params.arguments:q} > {log:q} 2>&1"

    rule:
        name:
            table
        input:
            depth_table_results(table),
