"""The evaluator of calls of tools."""
