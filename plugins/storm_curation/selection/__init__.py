"""Selecting rows: verdicts, ranking, splitting, the funnel."""
