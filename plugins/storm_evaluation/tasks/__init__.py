"""Tasks of the harness, read from its files: names, settings, packages, samples."""
