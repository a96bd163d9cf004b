"""The training loop under Lightning, from a checkpoint and a token set to a new checkpoint."""
