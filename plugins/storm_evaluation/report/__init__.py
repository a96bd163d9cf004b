"""The report's sections on evaluations."""
