"""Programs that other processes run for a stage, and that end with it."""
