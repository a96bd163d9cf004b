"""Skills with a known answer, and how answers go bad."""
