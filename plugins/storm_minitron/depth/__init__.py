"""Pruning depth: runs of layers."""
