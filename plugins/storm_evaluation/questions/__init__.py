"""The questions of every kind of evaluator, read without a model."""
