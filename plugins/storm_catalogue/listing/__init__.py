"""The verb `list`: names and summaries."""
