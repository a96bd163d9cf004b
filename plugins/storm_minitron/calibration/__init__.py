"""The rows that a model is measured on."""
