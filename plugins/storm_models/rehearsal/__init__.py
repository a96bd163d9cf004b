"""Rehearsals: runs of a recipe's whole graph with small substitutes for large models and data."""
