"""Reading and writing rows, and what becomes of each: files, splits, the funnel."""
