"""A checkpoint: what is known of it, its weights, sums of others, another depth."""
