"""The training settings, optimisers and learning-rate schedule."""
