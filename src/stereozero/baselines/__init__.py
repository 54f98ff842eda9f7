"""Baselines: other ways to make the target view, one file each."""
