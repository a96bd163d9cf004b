"""The files of a model's folder: which belong to it, and how they are read and checked."""
