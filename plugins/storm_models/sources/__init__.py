"""Components that yield a checkpoint from outside: the hub, a folder, random weights."""
