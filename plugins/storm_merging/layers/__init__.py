"""Which tensors of the parents become which tensor of a merge, and with which parameters."""
