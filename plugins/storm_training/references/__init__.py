"""Asking another model about a token set, once: log-probabilities, top-k logits."""
