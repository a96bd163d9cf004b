"""Rehearsals: a recipe's graph, end to end, with small substitutes for large models and data."""
