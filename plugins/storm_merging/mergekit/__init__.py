"""Mergers that use mergekit's arithmetic."""
