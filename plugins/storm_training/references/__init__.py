"""Outputs of another model on a token set, computed once: log-probabilities, top-k logits."""
