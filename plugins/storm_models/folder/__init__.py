"""The files of a model's folder, and what they say."""
