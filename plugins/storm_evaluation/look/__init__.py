"""The answers of models, side by side."""
