# The tables that are kept with the repository: `snakemake benchmark` makes every CSV file of benchmark/tables/<run>/ anew.
# Include this behind all rules that make tables.

# Table 5 times a machine; tables of depths that the config names no methods for can't be made.
LEFT_OUT = {"table5"} | {table for table, methods in PLAN.config.depth_tables if not methods}
KEPT_TABLES = [
    path
    for maker in list(workflow.rules)
    for path in map(Path, maker.output)
    if PLAN.paths.tables in path.parents and path.suffix == ".csv" and path.stem not in LEFT_OUT
]

for table in KEPT_TABLES:
    table_name = "_".join(table.relative_to(PLAN.paths.tables).with_suffix("").parts)

    rule:
        name:
            f"keep_{table_name}"
        input:
            str(table),
        output:
            kept(table),
        log:
            str(PLAN.paths.log("benchmark", "", table_name)),
        localrule: True
        conda:
            ENVIRONMENT
        message:
            f"benchmark: {kept(table)}"
        shell:
            "stereozero keep {input:q} {output:q} > {log:q} 2>&1"


rule benchmark:
    input:
        [kept(table) for table in KEPT_TABLES],
