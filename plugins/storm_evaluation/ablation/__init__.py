"""Ablations: what each step of a recipe is worth, against a fair control."""
