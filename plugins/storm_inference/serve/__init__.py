"""The verb `serve`: serves a model over HTTP."""
