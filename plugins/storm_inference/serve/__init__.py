"""The verb `serve`: a model behind an address."""
