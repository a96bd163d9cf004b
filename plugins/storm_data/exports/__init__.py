"""Data sets in the forms of other programs."""
