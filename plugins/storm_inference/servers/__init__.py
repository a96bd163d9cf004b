"""Models behind HTTP: servers that are started for a stage, and pools of running ones."""
