"""Attention that keeps the documents of a packed row apart."""
