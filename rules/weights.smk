# Published models: fetched once, verified, before a stage asks for them. See src/stereozero/weights.py.

for model in needed_models(PLAN.config):

    rule:
        name:
            f"weights_{model}"
        output:
            str(PLAN.paths.weights(model)),
        log:
            str(PLAN.paths.log("weights", "", model)),
        localrule: True  # a cluster's nodes may have no network
        conda:
            ENVIRONMENT
        params:
            arguments=command("weights", "--models", model),
            settings=[PLAN.config.weights_folder, str(needed_models(PLAN.config)[model])],
        message:
            f"weights: {model}"
        shell:
            "stereozero {params.arguments:q} > {log:q} 2>&1"


rule weights:
    input:
        [str(PLAN.paths.weights(model)) for model in needed_models(PLAN.config)],
