"""The arithmetic of merging, on tensors."""
