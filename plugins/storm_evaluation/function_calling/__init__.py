"""Evaluation of function calling."""
