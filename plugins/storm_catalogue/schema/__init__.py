"""The verb `schema`: JSON schemas of components and recipes."""
