"""Components that bring in a checkpoint: from the hub, from a folder, with random weights."""
