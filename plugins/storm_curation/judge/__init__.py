"""Judging rows with a model: prompts, scores and their summary."""
