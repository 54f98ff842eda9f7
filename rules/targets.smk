# Names to ask Snakemake for: each runs the pipeline up to and including a stage.


rule world:
    input:
        markers_of("world", "truth"),


rule inputs:
    input:
        markers_of("inputs"),


rule generate:
    input:
        markers_of("generate"),


rule depth:
    input:
        markers_of("depth", "derive", "depth-pictures"),


rule stereo:
    input:
        markers_of("stereo"),


rule baselines:
    input:
        markers_of("baseline", "convert"),


rule deliver:
    input:
        markers_of("deliver"),


rule evaluate:
    input:
        markers_of("evaluate"),
