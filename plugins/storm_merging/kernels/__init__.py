"""Arithmetic of merging on pieces of tensors; it knows nothing of files."""
