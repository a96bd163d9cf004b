"""What the loop does beside a step: checkpoints, validation, progress, stopping."""
