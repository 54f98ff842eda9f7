"""The stages: each reads artefacts, calls the parts that do the work, and writes artefacts."""
