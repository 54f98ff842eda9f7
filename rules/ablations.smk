# Ablations: a table and a picture for each entry of the config's section 'ablations'; see stages/ablate.py.


def scores_of(methods):
    """Return the files that say these methods' target views are scored, and their true views rendered."""
    return [*markers_of("truth"), *[str(job.marker) for job in jobs_of("evaluate") if job.variant in methods]]


def ablation_results(wildcards):
    """Return every ablation's files; a run without any has nothing to make, which is said."""
    if not PLAN.config.ablations:
        raise WorkflowError("The config has no section 'ablations'; benchmark/ablations.yaml has one.")
    return [str(PLAN.paths.ablation(name, suffix)) for name in PLAN.config.ablations for suffix in (".csv", ".png")]


for ablation, methods in PLAN.config.ablations.items():

    rule:
        name:
            f"ablation_{ablation}"
        input:
            scores_of(methods),
        output:
            csv=str(PLAN.paths.ablation(ablation, ".csv")),
            markdown=report(str(PLAN.paths.ablation(ablation, ".md")), category="Ablations"),
            picture=report(str(PLAN.paths.ablation(ablation, ".png")), category="Ablations"),
        log:
            str(PLAN.paths.log("ablate", ablation, "all")),
        conda:
            ENVIRONMENT
        params:
            arguments=command("ablate", ablation),
            fingerprint=PLAN.fingerprint,
        message:
            f"ablation {ablation}: {', '.join(methods)}"
        shell:
            "stereozero {params.arguments:q} > {log:q} 2>&1"


rule ablations:
    input:
        ablation_results,
