# Ablations: a table and a picture for each entry of the config's section 'ablations'; see stages/ablate.py.

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
