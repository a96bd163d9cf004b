"""The components that merge with mergekit's arithmetic."""
