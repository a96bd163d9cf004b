"""What a plan will take, on accelerators that are known by name."""
