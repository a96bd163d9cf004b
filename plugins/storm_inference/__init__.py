"""Answering with a model. A library for other plugins: it brings no components."""
