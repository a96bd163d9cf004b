"""Settings of every training, optimisers and the learning rate."""
