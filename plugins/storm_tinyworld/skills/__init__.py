"""Skills with known answers, and the corruption of answers."""
