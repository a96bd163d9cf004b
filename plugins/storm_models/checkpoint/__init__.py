"""Checkpoints: their specs and weights, linear combinations of them, changes of depth."""
