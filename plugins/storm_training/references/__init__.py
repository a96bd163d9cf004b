"""What another model says of a token set, kept: log-probabilities, top-k logits."""
