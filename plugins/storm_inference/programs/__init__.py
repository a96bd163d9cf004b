"""Programs that run in other processes for a stage and end with it."""
