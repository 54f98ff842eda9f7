# Training of the embedded models on the synthetic world, hours on a CPU core each: `snakemake train_generator`.
# A training saves as it goes. What Snakemake follows are markers, so that a failed part loses no checkpoint.

TRAININGS = {
    "generator": ["vae", "decoder", "clip", "unet", "evaluate", "export"],
    "depth": ["depth-vae", "depth", "evaluate-depth", "export-depth"],
    "features": ["features-clip", "features-dino", "evaluate-features", "export-features"],
    "image": ["image-unet", "export-image"],  # with what models/generator holds
}

for model, parts in TRAININGS.items():

    for part, before in zip(parts, [None, *parts]):

        rule:
            name:
                f"train_{model}_{part.replace('-', '_')}"
            input:
                [f"build/{model}/{before}.done"] if before else [],
            output:
                touch(f"build/{model}/{part}.done"),
            log:
                f"build/{model}/{part}.log",
            conda:
                ENVIRONMENT
            threads: 1
            resources:
                mem_mb=8000,
                runtime=2880,
            params:
                part=part,
            message:
                f"training of models/{model}: {part} (log: build/{model}/{part}.log)"
            shell:
                "OMP_NUM_THREADS={threads} python -m stereozero.world.training {params.part:q} >> {log:q} 2>&1"

    rule:
        name:
            f"train_{model}"
        input:
            f"build/{model}/{parts[-1]}.done",
