"""Pruning width: channels, neurons and heads."""
