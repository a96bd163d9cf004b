"""What follows from a model's family and config: shapes, FLOPs, memory, attention, positions."""
