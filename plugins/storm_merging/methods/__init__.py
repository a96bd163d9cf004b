"""Mergers with their own arithmetic, and components that add layers."""
