"""The curators: components that select rows."""
