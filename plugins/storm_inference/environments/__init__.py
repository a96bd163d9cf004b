"""Separate Python environments for engines whose packages conflict with this one's."""
