"""Asking a model what rows are worth, and what it said."""
