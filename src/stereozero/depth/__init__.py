"""Depth: estimators of a clip's depth, one convention for what they find, dissolving and propagation."""
