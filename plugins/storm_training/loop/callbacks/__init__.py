"""Callbacks of the training loop: checkpoints, validation, progress, stopping."""
