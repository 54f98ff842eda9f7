# Figure 7: frames x methods, a picture a clip.


rule figure7:
    input:
        markers_of("inputs", "generate", "world", "truth", "baseline", "convert", "stereo"),
    output:
        [
            report(str(PLAN.paths.figure7(clip.clip_id)), category="Figure 7")
            for clip in PLAN.clips
            if PLAN.has_source(clip)
        ],
    log:
        str(PLAN.paths.log("figure7", "", "all")),
    conda:
        ENVIRONMENT
    params:
        arguments=command("figure7"),
        fingerprint=PLAN.fingerprint,
    message:
        "figure 7: frames x methods"
    shell:
        "stereozero {params.arguments:q} > {log:q} 2>&1"
