"""Models served over HTTP: servers started for a stage, and pools of running ones."""
