"""Data sets of the miniature world."""
