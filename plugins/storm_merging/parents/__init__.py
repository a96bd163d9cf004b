"""What is merged: whether it fits together, and what is read of it before."""
