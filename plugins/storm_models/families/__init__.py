"""What a model's family and config say: shapes, FLOPs, memory, attention, positions."""
