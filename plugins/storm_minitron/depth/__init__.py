"""Depth pruning: the importance of runs of layers, and their removal."""
