"""Tasks of the harness, read off its files: names, settings, packages, samples."""
