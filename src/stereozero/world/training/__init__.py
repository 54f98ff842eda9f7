"""Training of the embedded models on the synthetic world; see ``python -m stereozero.world.training --help``."""
